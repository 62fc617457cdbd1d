# Sidekiq end to end: jobs pushed by its client, taken and run by its own process, retried, scheduled and found by its API.
#
# PORT is where the server listens. Uses the databases' number 6, and empties it. The same file is what the process of
# the second part loads (`sidekiq -r`), so the workers stand here too.
require "sidekiq"
require "sidekiq/api"
require "sidekiq/scheduled"

URL = "redis://127.0.0.1:#{ENV.fetch("PORT", "6379")}/6"
Sidekiq.configure_client { |config| config.redis = { url: URL, size: 5 } }
Sidekiq.configure_server { |config| config.redis = { url: URL, size: 15 } }
Redis.silence_deprecations = true # of what this Sidekiq asks of this redis-rb
Sidekiq.logger.level = Logger::WARN unless Sidekiq.server?

class Adder
  include Sidekiq::Worker

  def perform(key, number)
    Sidekiq.redis { |r| r.incrby(key, number) }
  end
end

class Failer
  include Sidekiq::Worker
  sidekiq_options retry: 3

  def perform(key)
    tries = Sidekiq.redis { |r| r.incr(key) }
    raise "try #{tries}" if tries < 3
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options retry: 0

  def perform
    raise "no use"
  end
end

return if Sidekiq.server?

DEADLINE = 30

def assert(truth, what)
  raise "failed: #{what}" unless truth
end

def assert_equal(expected, found)
  assert(expected == found, "expected #{expected.inspect}, found #{found.inspect} (#{caller(1..1).first})")
end

def wait_until(what)
  ends = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE
  until (found = yield)
    assert(Process.clock_gettime(Process::CLOCK_MONOTONIC) < ends, "never came: #{what}")
    sleep 0.01
  end
  found
end

def redis(&block)
  Sidekiq.redis(&block)
end

# Its own Lua, by its own class: each due job leaves the schedule once, however many pollers there are.
def scheduled_jobs
  Adder.perform_in(3600, "later", 1)
  due = 40.times.map { |number| Sidekiq::Client.push("class" => "Adder", "args" => ["sum", number], "at" => Time.now.to_f + 0.05) }
  assert_equal 41, Sidekiq::ScheduledSet.new.size
  wait_until("the jobs to be due") { Sidekiq::ScheduledSet.new.count { |job| job.at.to_f > Time.now.to_f } == 1 }
  redis { |r| r.script(:flush) } # its way back from NOSCRIPT
  4.times.map { Thread.new { Sidekiq::Scheduled::Enq.new.enqueue_jobs } }.each(&:join)
  assert_equal 1, Sidekiq::ScheduledSet.new.size
  assert_equal due.sort, Sidekiq::Queue.new.map(&:jid).sort
  Sidekiq::ScheduledSet.new.clear
  Sidekiq::Queue.new.clear
end

def queues
  ids = Sidekiq::Client.push_bulk("class" => "Adder", "args" => (1..250).map { |number| ["sum", number] })
  queue = Sidekiq::Queue.new
  assert_equal 250, queue.size
  assert(queue.latency >= 0, "latency")
  assert_equal ["default"], Sidekiq::Queue.all.map(&:name)
  assert_equal ["sum", 1], queue.find_job(ids.first).args
  assert queue.find_job(ids.last).delete, "delete"
  assert_equal 249, queue.size
  stats = Sidekiq::Stats.new
  assert_equal [249, 0, 0], [stats.enqueued, stats.processed, stats.failed]
  ids
end

def process_runs_what_waits
  # A few are there already, from queues.
  pid = spawn("sidekiq", "-r", File.expand_path(__FILE__), "-c", "5", "-q", "default", "-t", "5", %i[out err] => @log.path)
  failing = Failer.perform_async("tries")
  Hopeless.perform_async
  wait_until("249 jobs") { redis { |r| r.get("sum") }.to_i == (1..249).sum }
  wait_until("the hopeless one's end") { Sidekiq::DeadSet.new.size == 1 }
  assert_equal "no use", Sidekiq::DeadSet.new.first["error_message"]
  wait_until("the failed one in the retry set") { Sidekiq::RetrySet.new.find_job(failing) }
  assert_equal "try 1", Sidekiq::RetrySet.new.first["error_message"]
  2.times do |number|
    wait_until("try #{number + 1} to fail") { Sidekiq::RetrySet.new.find_job(failing) }
    Sidekiq::RetrySet.new.retry_all
    wait_until("the next try") { redis { |r| r.get("tries") }.to_i == number + 2 }
  end
  # It tells of itself by a heartbeat.
  wait_until("the heartbeat") { Sidekiq::ProcessSet.new.size == 1 }
  assert_equal 5, Sidekiq::ProcessSet.new.first["concurrency"]
  wait_until("all to be counted") { Sidekiq::Stats.new.processed >= 249 }
  Adder.perform_async("last", 7)
  wait_until("one more") { redis { |r| r.get("last") } == "7" }
ensure
  if pid
    Process.kill("TERM", pid)
    Process.wait(pid)
  end
end

def main
  require "tempfile"
  @log = Tempfile.new("sidekiq")
  redis(&:flushdb)
  scheduled_jobs
  puts "ok: scheduled jobs"
  queues
  puts "ok: queues"
  process_runs_what_waits
  puts "ok: a process runs what waits, and retries what failed"
  puts "sidekiq #{Sidekiq::VERSION}: 3 parts"
rescue Exception
  puts File.read(@log.path)
  raise
ensure
  redis(&:flushdb)
end

main
