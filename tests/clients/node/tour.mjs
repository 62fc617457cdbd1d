// The README's tour as an ioredis user writes it: locks, rate limits, documents, search.
//
// PORT is where the server listens; MODULES=no leaves out what needs JSON and search. Uses its own keys, and removes them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Redis from "ioredis";

const port = Number(process.env.PORT ?? 6379);
const prefix = `tour:${randomUUID().slice(0, 8)}:`;
const redis = new Redis({ port, lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });

redis.defineCommand("release", {
  numberOfKeys: 1,
  lua: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
});
redis.defineCommand("allow", {
  numberOfKeys: 1,
  lua: `local count = redis.call('incr', KEYS[1])
        if count == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end
        return count <= tonumber(ARGV[2]) and 1 or 0`,
});

const parts = {
  async "strings and hashes"() {
    assert.equal(await redis.set(`${prefix}greeting`, "hello", "EX", 60), "OK");
    assert.equal(await redis.get(`${prefix}greeting`), "hello");
    assert.equal(await redis.get(`${prefix}nothing`), null);
    assert.equal(await redis.hset(`${prefix}user`, { name: "Ada", age: 36 }), 2);
    assert.deepEqual(await redis.hgetall(`${prefix}user`), { name: "Ada", age: "36" });
    await assert.rejects(redis.incr(`${prefix}greeting`), /not an integer/);
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await redis.set(`${prefix}bytes`, everyByte);
    assert.deepEqual(await redis.getBuffer(`${prefix}bytes`), everyByte);
  },

  async "pipelines and transactions"() {
    const pipeline = redis.pipeline();
    for (let number = 0; number < 1000; number++) pipeline.incrby(`${prefix}sum`, number);
    const replies = await pipeline.exec();
    assert.deepEqual(replies.at(-1), [null, 499500]);
    const result = await redis.multi().incr(`${prefix}sum`).get(`${prefix}sum`).exec();
    assert.deepEqual(result, [[null, 499501], [null, "499501"]]);
  },

  async locks() {
    const key = `${prefix}lock`;
    assert.equal(await redis.set(key, "mine", "PX", 30000, "NX"), "OK");
    assert.equal(await redis.set(key, "theirs", "PX", 30000, "NX"), null);
    assert.equal(await redis.release(key, "theirs"), 0);
    assert.equal(await redis.release(key, "mine"), 1);
  },

  async "rate limits"() {
    const asked = Array.from({ length: 20 }, () => redis.allow(`${prefix}limit`, 60000, 7));
    const allowed = (await Promise.all(asked)).reduce((sum, yes) => sum + yes, 0);
    assert.equal(allowed, 7);
  },

  async documents() {
    const key = `${prefix}doc`;
    const document = { title: "Dune", tags: ["sf"] };
    assert.equal(await redis.call("JSON.SET", key, "$", JSON.stringify(document)), "OK");
    assert.deepEqual(JSON.parse(await redis.call("JSON.GET", key)), document);
    assert.deepEqual(JSON.parse(await redis.call("JSON.GET", key, "$.title")), ["Dune"]);
    assert.deepEqual(await redis.call("JSON.ARRAPPEND", key, "$.tags", '"desert"'), [2]);
  },

  async search() {
    const index = `${prefix}books`;
    await redis.call("FT.CREATE", index, "ON", "JSON", "PREFIX", 1, `${prefix}book:`,
      "SCHEMA", "$.title", "AS", "title", "TEXT", "$.year", "AS", "year", "NUMERIC");
    await redis.call("JSON.SET", `${prefix}book:1`, "$", '{"title": "Roadside Picnic", "year": 1972}');
    await redis.call("JSON.SET", `${prefix}book:2`, "$", '{"title": "The Dispossessed", "year": 1974}');
    assert.deepEqual(await redis.call("FT.SEARCH", index, "picnic", "NOCONTENT"), [1, `${prefix}book:1`]);
    assert.deepEqual(await redis.call("FT.SEARCH", index, "@year:[1973 +inf]", "NOCONTENT"), [1, `${prefix}book:2`]);
    await redis.call("FT.DROPINDEX", index);
  },
};

if (process.env.MODULES === "no") {
  delete parts.documents;
  delete parts.search;
}
await redis.connect();
try {
  for (const [name, part] of Object.entries(parts)) {
    await part();
    console.log(`ok: ${name}`);
  }
} finally {
  const keys = await redis.keys(`${prefix}*`);
  if (keys.length > 0) await redis.del(...keys);
  redis.disconnect();
}
console.log(`ioredis: ${Object.keys(parts).length} parts`);
