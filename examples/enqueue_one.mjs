// Queue one job from Node and print its id: `node examples/enqueue_one.mjs "a cat"`. No package is needed.
//
// A job is one LPUSH of a Celery message. Once Redis has answered, the job is safe as far as Redis is.
// What is wrong with a payload the worker finds: its result is `rejected`. With ioredis or node-redis the
// last part is `await redis.lpush("aigc", message(...))`.
import { randomUUID } from "node:crypto";
import { createConnection } from "node:net";

function message(jobId, payload, metadata) {
  return JSON.stringify({
    body: Buffer.from(JSON.stringify([[payload], { metadata }, {}])).toString("base64"),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: { task: "tasks.submit_workflow", id: jobId, "aigc-enqueued-ms": Date.now() },
    properties: {
      delivery_tag: randomUUID(),
      body_encoding: "base64",
      delivery_info: { exchange: "", routing_key: "aigc" },
    },
  });
}

// One command in Redis's protocol: each word with its length in bytes.
function command(...words) {
  return `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("");
}

// Chosen beforehand: after a lost reply the same id can be queued again, and is still one purchase.
const jobId = randomUUID();
const payload = {
  workflow: "TEXT2IMAGE",
  version: "1.0.0",
  algoInput: { inputText: process.argv[2] ?? "a cat", width: 1024, height: 1024 },
};
const url = new URL(process.env.AIGC_REDIS_URL ?? "redis://127.0.0.1:6379/0");
const redis = createConnection(Number(url.port || 6379), url.hostname);
redis.write(command("SELECT", url.pathname.slice(1) || "0"));
redis.write(command("LPUSH", "aigc", message(jobId, payload, { sku: "A-1" })));

let replies = "";
redis.on("data", (data) => {
  replies += data;
  if (replies.split("\r\n").length < 3) return; // "+OK" and ":1", a line each
  const [, pushed] = replies.split("\r\n");
  if (pushed.startsWith(":")) {
    console.log(jobId);
  } else {
    console.error(`job ${jobId} was refused: ${replies.trim()}`);
    process.exitCode = 1;
  }
  redis.end();
});
redis.on("error", (error) => {
  console.error(`job ${jobId} may be queued; to queue it again under its id is safe: ${error.message}`);
  process.exitCode = 1;
});
