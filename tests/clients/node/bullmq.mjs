// BullMQ end to end: queues, workers, flows, schedulers and events, all of which are its own Lua scripts and streams.
//
// PORT is where the server listens. Each part has a queue of its own, which obliterate removes; what is left is an error.
import assert from "node:assert/strict";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { DelayedError, FlowProducer, Job, Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import Redis from "ioredis";

const connection = { port: Number(process.env.PORT ?? 6379), host: "127.0.0.1", maxRetriesPerRequest: null };
const prefix = `bullmq-${randomUUID().slice(0, 8)}`;
const DEADLINE_MS = 20000;
const open = [];

function opened(thing) {
  thing.on?.("error", (error) => {
    if (!/Connection is closed/.test(error.message)) throw error;
  });
  open.push(thing);
  return thing;
}

const queueOf = (name) => opened(new Queue(name, { connection, prefix }));
const workerOf = (name, run, options = {}) => opened(new Worker(name, run, { connection, prefix, ...options }));

async function eventsOf(name) {
  // From the beginning: what happens before the first XREAD arrives would be missed otherwise.
  const events = opened(new QueueEvents(name, { connection, prefix, lastEventId: "0-0" }));
  await events.waitUntilReady();
  return events;
}

async function until(condition, what) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < end, `never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const parts = {
  async "jobs run, and their results come back"(name) {
    const queue = queueOf(name);
    const events = await eventsOf(name);
    workerOf(name, async (job) => {
      await job.updateProgress(50);
      await job.log(`adding ${job.data.a} and ${job.data.b}`);
      return job.data.a + job.data.b;
    });
    const progress = once(events, "progress");
    const job = await queue.add("sum", { a: 2, b: 3 });
    assert.equal(await job.waitUntilFinished(events, DEADLINE_MS), 5);
    assert.equal((await progress)[0].data, 50);
    const found = await Job.fromId(queue, job.id);
    assert.equal(await found.getState(), "completed");
    assert.equal(found.returnvalue, 5);
    assert.deepEqual((await queue.getJobLogs(job.id)).logs, ["adding 2 and 3"]);
    queue.setMaxListeners(0); // a hundred wait at once below
    const bulk = await queue.addBulk(Array.from({ length: 100 }, (_, a) => ({ name: "sum", data: { a, b: 1 } })));
    const sums = await Promise.all(bulk.map((job) => job.waitUntilFinished(events, DEADLINE_MS)));
    assert.deepEqual(sums, Array.from({ length: 100 }, (_, a) => a + 1));
    assert.equal((await queue.getJobCounts("completed")).completed, 101);
    assert.equal((await queue.getCompleted(0, 9)).length, 10);
    assert.equal((await queue.clean(0, 1000, "completed")).length, 101);
  },

  async "an id is added once, a removed job does not run"(name) {
    const queue = queueOf(name);
    await queue.add("one", { n: 1 }, { jobId: "only" });
    await queue.add("one", { n: 2 }, { jobId: "only" });
    assert.equal(await queue.getWaitingCount(), 1);
    assert.deepEqual((await queue.getJob("only")).data, { n: 1 });
    await (await queue.getJob("only")).updateData({ n: 3 });
    assert.deepEqual((await queue.getJob("only")).data, { n: 3 });
    const gone = await queue.add("gone", {});
    await gone.remove();
    assert.equal(await queue.getJob(gone.id), undefined);
    const first = await queue.add("burst", { n: 1 }, { deduplication: { id: "d", ttl: 60000 } });
    const again = await queue.add("burst", { n: 2 }, { deduplication: { id: "d", ttl: 60000 } });
    assert.equal(again.id, first.id);
    const ran = [];
    workerOf(name, async (job) => { ran.push(job.id); });
    await until(() => ran.length === 2, "both jobs");
    assert.deepEqual(ran.sort(), ["only", first.id].sort());
  },

  async "delayed jobs wait, and can be promoted"(name) {
    const queue = queueOf(name);
    const ran = [];
    workerOf(name, async (job) => { ran.push([job.name, Date.now()]); });
    const began = Date.now();
    await queue.add("later", {}, { delay: 1000 });
    const never = await queue.add("never", {}, { delay: 3600000 });
    await queue.add("soon", {}, { delay: 500 });
    await queue.add("now", {});
    assert.ok((await queue.getDelayedCount()) >= 1);
    await until(() => ran.length === 3, "three jobs");
    assert.deepEqual(ran.map(([name]) => name), ["now", "soon", "later"]);
    assert.ok(ran[1][1] - began >= 499 && ran[2][1] - began >= 999, JSON.stringify(ran));
    await never.changeDelay(7200000);
    assert.equal(await never.getState(), "delayed");
    await never.promote();
    await until(() => ran.length === 4, "the promoted job");
  },

  async "priorities decide the order"(name) {
    const queue = queueOf(name);
    for (const priority of [5, 1, 9, 3, 1, 7]) await queue.add(`p${priority}`, {}, { priority });
    const raised = await queue.add("raised", {}, { priority: 100 });
    await queue.add("last-in", {}, { lifo: true });
    await queue.add("first-in", {});
    assert.equal((await queue.getCountsPerPriority([1]))["1"], 2);
    await raised.changePriority({ priority: 2 });
    const ran = [];
    workerOf(name, async (job) => { ran.push(job.name); });
    await until(() => ran.length === 9, "nine jobs");
    assert.deepEqual(ran, ["last-in", "first-in", "p1", "p1", "raised", "p3", "p5", "p7", "p9"]);
  },

  async "failures are tried again with backoff"(name) {
    const queue = queueOf(name);
    const events = await eventsOf(name);
    const tries = { flaky: [], hopeless: [] };
    workerOf(name, async (job) => {
      if (job.name === "fatal") throw new UnrecoverableError("no use");
      tries[job.name].push(Date.now());
      if (job.name === "hopeless" || tries.flaky.length < 3) throw new Error(`try ${job.attemptsMade}`);
      return "at last";
    });
    const flaky = await queue.add("flaky", {}, { attempts: 5, backoff: { type: "exponential", delay: 100 } });
    assert.equal(await flaky.waitUntilFinished(events, DEADLINE_MS), "at last");
    const [one, two, three] = tries.flaky;
    assert.ok(two - one >= 99 && three - two >= 199, JSON.stringify(tries.flaky));
    const hopeless = await queue.add("hopeless", {}, { attempts: 3, backoff: 10 });
    await assert.rejects(hopeless.waitUntilFinished(events, DEADLINE_MS), /try 2/);
    assert.equal(tries.hopeless.length, 3);
    const fatal = await queue.add("fatal", {}, { attempts: 5 });
    await assert.rejects(fatal.waitUntilFinished(events, DEADLINE_MS), /no use/);
    const failed = await queue.getFailed();
    assert.deepEqual(failed.map((job) => job.name).sort(), ["fatal", "hopeless"]);
    assert.equal(failed.find((job) => job.name === "fatal").attemptsMade, 1);
    // By hand once more.
    tries.flaky.length = 0;
    await (await queue.getJob(hopeless.id)).retry();
    await until(() => tries.hopeless.length === 4, "the retried job");
    await until(async () => (await queue.getFailedCount()) === 2, "its failure");
    await queue.retryJobs({ state: "failed" });
    await until(() => tries.hopeless.length === 5, "all failed jobs once more");
  },

  async "a worker runs as many as it is allowed, and a group of workers each job once"(name) {
    const queue = queueOf(name);
    const ran = new Map();
    let now = 0, most = 0;
    const run = async (job) => {
      most = Math.max(most, ++now);
      ran.set(job.id, (ran.get(job.id) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 10));
      now--;
    };
    const first = workerOf(name, run, { concurrency: 4 });
    await queue.addBulk(Array.from({ length: 40 }, () => ({ name: "job", data: {} })));
    await until(async () => (await queue.getCompletedCount()) === 40, "forty jobs");
    assert.equal(most, 4);
    await first.close();
    most = 0;
    await queue.setGlobalConcurrency(3);
    for (let n = 0; n < 4; n++) workerOf(name, run, { concurrency: 5 });
    await queue.addBulk(Array.from({ length: 60 }, () => ({ name: "job", data: {} })));
    await until(async () => (await queue.getCompletedCount()) === 100, "a hundred jobs");
    assert.ok(most <= 3, `${most} at once`);
    assert.equal(ran.size, 100);
    assert.ok([...ran.values()].every((times) => times === 1));
  },

  async "a limiter of jobs per time holds"(name) {
    const queue = queueOf(name);
    const ran = [];
    workerOf(name, async () => { ran.push(Date.now()); }, { limiter: { max: 3, duration: 300 }, concurrency: 10 });
    await queue.addBulk(Array.from({ length: 9 }, () => ({ name: "job", data: {} })));
    await until(() => ran.length === 9, "nine jobs");
    // Nine in windows of three: two whole windows lie between the first and the last.
    assert.ok(ran.at(-1) - ran[0] >= 590, `${ran.at(-1) - ran[0]} ms`);
  },

  async "a paused queue rests, a resumed one goes on"(name) {
    const queue = queueOf(name);
    const ran = [];
    await queue.pause();
    assert.equal(await queue.isPaused(), true);
    workerOf(name, async (job) => { ran.push(job.name); });
    await queue.add("a", {});
    await queue.add("b", {}, { priority: 1 });
    const marker = queueOf(`${name}-marker`);
    let seen = 0;
    workerOf(`${name}-marker`, async () => { seen++; });
    await marker.add("m", {});
    await until(() => seen === 1, "the other queue, which is not paused");
    assert.deepEqual(ran, []);
    await queue.resume();
    await until(() => ran.length === 2, "both jobs");
    assert.deepEqual(ran, ["a", "b"]);
    await queue.pause();
    await queue.addBulk([{ name: "c", data: {} }, { name: "d", data: {}, opts: { delay: 100000 } }]);
    await queue.drain(true);
    const counts = await queue.getJobCounts("wait", "paused", "delayed", "prioritized");
    assert.equal(Object.values(counts).reduce((sum, count) => sum + count, 0), 0);
    await marker.obliterate({ force: true });
  },

  async "a scheduler adds its job again and again"(name) {
    const queue = queueOf(name);
    const ran = [];
    workerOf(name, async (job) => { ran.push([job.name, job.data.n]); });
    await queue.upsertJobScheduler("tick", { every: 100, limit: 20 }, { name: "tick", data: { n: 1 } });
    await queue.upsertJobScheduler("cron", { pattern: "* * * * * *" }, { name: "cron", data: { n: 3 } });
    assert.deepEqual((await queue.getJobSchedulers()).map((one) => one.key).sort(), ["cron", "tick"]);
    await until(() => ran.filter(([name]) => name === "tick").length >= 3, "three ticks");
    await queue.upsertJobScheduler("tick", { every: 50 }, { name: "tick", data: { n: 2 } });
    await until(() => ran.some(([, n]) => n === 2), "the changed tick");
    await until(() => ran.some(([name]) => name === "cron"), "the second to turn");
    assert.equal(await queue.removeJobScheduler("tick"), true);
    assert.equal(await queue.removeJobScheduler("cron"), true);
    assert.deepEqual(await queue.getJobSchedulers(), []);
    await until(async () => (await queue.getDelayedCount()) === 0, "an end of it");
  },

  async "a flow runs children before their parents"(name) {
    const queue = queueOf(name);
    const events = await eventsOf(name);
    const ran = [];
    workerOf(name, async (job) => {
      const values = Object.values(await job.getChildrenValues());
      ran.push(job.name);
      return values.reduce((sum, value) => sum + value, job.data.n ?? 0);
    });
    const flows = opened(new FlowProducer({ connection, prefix }));
    const child = (label, n, children) => ({ name: label, queueName: name, data: { n }, children });
    const tree = await flows.add(child("root", 1, [
      child("left", 10, [child("leaf", 100), child("leaf", 200)]),
      child("right", 20),
    ]));
    assert.equal(await tree.job.waitUntilFinished(events, DEADLINE_MS), 331);
    assert.equal(ran.at(-1), "root");
    assert.ok(ran.indexOf("left") > ran.lastIndexOf("leaf"), ran.join());
    const again = await flows.getFlow({ id: tree.job.id, queueName: name });
    assert.equal(again.children.length, 2);
    const { processed } = await tree.job.getDependencies();
    assert.deepEqual(Object.values(processed).sort(), [20, 310]);
    // A child that fails for good takes its parent along.
    const failing = workerOf(`${name}-child`, async () => { throw new Error("child"); });
    const other = queueOf(`${name}-child`);
    const bad = await flows.add({
      name: "root", queueName: name, data: {},
      children: [{ name: "bad", queueName: `${name}-child`, data: {}, opts: { failParentOnFailure: true } }],
    });
    await assert.rejects(bad.job.waitUntilFinished(events, DEADLINE_MS), /child/);
    await failing.close();
    await other.obliterate({ force: true });
  },

  async "a job moves itself to later, a worker is told by hand"(name) {
    const queue = queueOf(name);
    let tries = 0;
    const worker = workerOf(name, async (job, token) => {
      if (tries++ === 0) {
        await job.moveToDelayed(Date.now() + 100, token);
        throw new DelayedError();
      }
      return "done";
    });
    const completed = once(worker, "completed");
    const job = await queue.add("job", {});
    await completed;
    assert.equal(tries, 2);
    await worker.close();
    assert.equal(await (await queue.getJob(job.id)).getState(), "completed");
    // By hand: a lock for whoever takes the job, and none for others.
    const manual = workerOf(name, null);
    await queue.add("by hand", { n: 1 });
    const taken = await manual.getNextJob("token");
    assert.equal(taken.name, "by hand");
    await taken.extendLock("token", 30000);
    await assert.rejects(taken.moveToCompleted("x", "other token", false), /lock/i);
    await taken.moveToCompleted("by hand", "token", false);
    assert.equal((await queue.getJob(taken.id)).returnvalue, "by hand");
  },

  async "a job whose worker died is found and run again"(name) {
    const queue = queueOf(name);
    const job = await queue.add("job", {});
    const dead = workerOf(name, null, { lockDuration: 100, skipLockRenewal: true });
    assert.equal((await dead.getNextJob("dead")).id, job.id);
    const stalled = [];
    const worker = workerOf(name, async () => "rescued", { stalledInterval: 100, lockDuration: 1000 });
    worker.on("stalled", (id) => stalled.push(id));
    await until(async () => (await queue.getCompletedCount()) === 1, "the rescue");
    assert.deepEqual(stalled, [job.id]);
  },

  async "events tell what happened, in order"(name) {
    const queue = queueOf(name);
    const events = await eventsOf(name);
    const heard = [];
    for (const event of ["added", "waiting", "active", "completed", "drained", "paused", "resumed", "removed"]) {
      events.on(event, (data) => heard.push([event, data.jobId]));
    }
    workerOf(name, async () => "x");
    const job = await queue.add("job", {});
    await until(() => heard.some(([event]) => event === "drained"), "the queue to be drained");
    const own = heard.filter(([, id]) => id === job.id).map(([event]) => event);
    assert.deepEqual(own, ["added", "waiting", "active", "completed"]);
    await queue.pause();
    await queue.resume();
    await job.remove();
    await until(() => heard.some(([event]) => event === "removed"), "the removal");
    const last = heard.map(([event]) => event).slice(-3);
    assert.deepEqual(last, ["paused", "resumed", "removed"]);
    await queue.trimEvents(1);
  },
};

const names = [];
for (const [title, part] of Object.entries(parts)) {
  if (process.env.ONLY && !title.includes(process.env.ONLY)) continue;
  const name = `q${names.length}`;
  names.push(title);
  await part(name);
  await Promise.all(open.splice(0).filter((thing) => !(thing instanceof Queue)).map((thing) => thing.close()));
  const queue = new Queue(name, { connection, prefix });
  await queue.obliterate({ force: true });
  await queue.close();
  console.log(`ok: ${title}`);
}
const redis = new Redis(connection);
const left = await redis.keys(`${prefix}:*`);
await redis.quit();
// Of an obliterated queue nothing is left, unless its removed queue object wrote its meta data anew.
assert.deepEqual(left.filter((key) => !/:meta$/.test(key)), []);
console.log(`bullmq: ${names.length} parts`);
process.exit(0);
