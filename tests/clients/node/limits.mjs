// redlock and rate-limiter-flexible, as their users write: locks over one server, and limits of every kind of theirs that
// keeps its state in Redis.
//
// PORT is where the server listens. Uses its own keys, and removes them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Redis from "ioredis";
import Redlock from "redlock";
import { BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis, RateLimiterUnion } from "rate-limiter-flexible";

const prefix = `limits:${randomUUID().slice(0, 8)}:`;
const connect = () => new Redis({ port: Number(process.env.PORT ?? 6379), maxRetriesPerRequest: 1, retryStrategy: () => null });
const redis = connect();
const clients = [redis, ...Array.from({ length: 7 }, connect)];

// How many of these were kept; those that were not were refused by a limit and nothing else.
async function allowed(asked) {
  const settled = await Promise.allSettled(asked);
  for (const one of settled) {
    if (one.status === "rejected" && one.reason instanceof Error) throw one.reason;
  }
  return settled.filter((one) => one.status === "fulfilled").length;
}

const parts = {
  async "a redlock is held by one, extended and released by it"() {
    const locks = clients.map((client) => new Redlock([client], { retryCount: 0 }));
    for (let round = 0; round < 10; round++) {
      const key = `${prefix}lock:${round}`;
      const got = await Promise.allSettled(locks.map((one) => one.lock(key, 60000)));
      const held = got.filter((one) => one.status === "fulfilled").map((one) => one.value);
      assert.equal(held.length, 1);
      for (const one of got) {
        if (one.status === "rejected") assert.equal(one.reason.name, "LockError");
      }
      const longer = await held[0].extend(90000);
      assert.ok((await redis.pttl(key)) > 80000);
      await longer.unlock();
      assert.equal(await redis.exists(key), 0);
      await assert.rejects(longer.unlock(), /Unable to fully release/);
    }
  },

  async "redlocks wait for each other and nobody enters twice"() {
    let inside = 0, most = 0, sum = 0;
    await Promise.all(clients.map(async (client) => {
      const locker = new Redlock([client], { retryCount: -1, retryDelay: 2, retryJitter: 2 });
      for (let round = 0; round < 5; round++) {
        const lock = await locker.lock(`${prefix}mutex`, 60000);
        most = Math.max(most, ++inside);
        const seen = sum;
        await client.ping();
        sum = seen + 1;
        inside--;
        await lock.unlock();
      }
    }));
    assert.deepEqual([most, sum], [1, 40]);
  },

  async "a redlock ends by itself, over several keys at once"() {
    const locker = new Redlock([redis], { retryCount: 0 });
    const keys = [`${prefix}{k}:a`, `${prefix}{k}:b`];
    const lock = await locker.lock(keys, 500);
    await assert.rejects(locker.lock(keys[1], 100));
    const patient = new Redlock([clients[1]], { retryCount: -1, retryDelay: 5 });
    const next = await patient.lock(keys, 60000);
    await assert.rejects(lock.extend(1000), /extend|expired/i);
    await next.unlock();
  },

  async "a limiter allows its points and no more"() {
    const limiters = clients.map((client) => new RateLimiterRedis({
      storeClient: client, keyPrefix: `${prefix}points`, points: 25, duration: 3600,
    }));
    const asked = limiters.flatMap((one) => Array.from({ length: 20 }, () => one.consume("user")));
    assert.equal(await allowed(asked), 25);
    const refused = await limiters[0].consume("user").catch((reason) => reason);
    assert.equal(refused.remainingPoints, 0);
    assert.ok(refused.msBeforeNext > 3500000 && refused.msBeforeNext <= 3600000);
    const seen = await limiters[1].get("user");
    assert.equal(seen.consumedPoints, 25 + 135 + 1);
    await limiters[2].delete("user");
    const fresh = await limiters[3].consume("user", 5);
    assert.deepEqual([fresh.consumedPoints, fresh.remainingPoints, fresh.isFirstInDuration], [5, 20, true]);
    const back = await limiters[3].reward("user", 2);
    assert.equal(back.consumedPoints, 3);
    const penalty = await limiters[4].penalty("user", 7);
    assert.equal(penalty.consumedPoints, 10);
  },

  async "a window ends, and who asked too much is blocked for longer"() {
    const short = new RateLimiterRedis({ storeClient: redis, keyPrefix: `${prefix}short`, points: 2, duration: 1 });
    const began = Date.now();
    assert.equal(await allowed(Array.from({ length: 6 }, () => short.consume("user"))), 2);
    for (;;) {
      const reply = await short.consume("user").catch((reason) => reason);
      if (reply.remainingPoints > 0) break;
      assert.ok(Date.now() - began < 20000, "the window never ended");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(Date.now() - began >= 990);
    const blocking = new RateLimiterRedis({
      storeClient: redis, keyPrefix: `${prefix}block`, points: 2, duration: 1, blockDuration: 600,
    });
    assert.equal(await allowed(Array.from({ length: 3 }, () => blocking.consume("user"))), 2);
    assert.ok((await redis.pttl(`${prefix}block:user`)) > 500000);
    await blocking.block("other", 100);
    await assert.rejects(blocking.consume("other"), (reason) => reason.msBeforeNext > 90000);
    await blocking.set("third", 1, 100);
    assert.equal((await blocking.consume("third")).remainingPoints, 0);
  },

  async "bursts, unions and queues"() {
    const options = (name, points) => ({ storeClient: redis, keyPrefix: `${prefix}${name}`, points, duration: 3600 });
    const bursty = new BurstyRateLimiter(new RateLimiterRedis(options("base", 3)), new RateLimiterRedis(options("burst", 4)));
    assert.equal(await allowed(Array.from({ length: 20 }, () => bursty.consume("user"))), 7);
    const union = new RateLimiterUnion(new RateLimiterRedis(options("u1", 5)), new RateLimiterRedis(options("u2", 2)));
    const replies = await Promise.allSettled(Array.from({ length: 4 }, () => union.consume("user")));
    assert.equal(replies.filter((one) => one.status === "fulfilled").length, 2);
    const queue = new RateLimiterQueue(
      new RateLimiterRedis({ storeClient: redis, keyPrefix: `${prefix}queue`, points: 3, duration: 1 }),
      { maxQueueSize: 5 });
    const began = Date.now();
    await Promise.all(Array.from({ length: 5 }, () => queue.removeTokens(1, "user")));
    assert.ok(Date.now() - began >= 900, "the queue did not hold back");
  },

  async "even spacing delays what comes too fast"() {
    const even = new RateLimiterRedis({
      storeClient: redis, keyPrefix: `${prefix}even`, points: 5, duration: 1, execEvenly: true,
    });
    const began = Date.now();
    await Promise.all(Array.from({ length: 4 }, () => even.consume("user")));
    assert.ok(Date.now() - began >= 150, `${Date.now() - began} ms`);
  },
};

try {
  for (const [name, part] of Object.entries(parts)) {
    if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
    await part();
    console.log(`ok: ${name}`);
  }
} finally {
  const keys = await redis.keys(`${prefix}*`);
  if (keys.length > 0) await redis.del(...keys);
  clients.forEach((client) => client.disconnect());
}
console.log(`redlock, rate-limiter-flexible: ${Object.keys(parts).length} parts`);
