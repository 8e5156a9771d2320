// Handle results in Node, as one of a group: `node examples/consume_results.mjs shop [SECONDS [STREAM]]`. No package.
//
// A result is acknowledged after it was handled; what a consumer that died left, it gets again under the
// same name when it comes back, so handling has to stand a repetition. Ends after SECONDS without a result (0: never).
// STREAM aigc:outputs has the finished pictures.
import { createConnection } from "node:net";

const [group = "shop", seconds = "0", stream = "aigc:results"] = process.argv.slice(2);
const url = new URL(process.env.AIGC_REDIS_URL ?? "redis://127.0.0.1:6379/0");
const redis = createConnection(Number(url.port || 6379), url.hostname);
const waiting = [];
let unread = Buffer.alloc(0);

function ask(...words) {
  redis.write(`*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(""));
  return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
}

// The reply of Redis's protocol that begins here: [its value, where it ends]; null where it is not whole yet.
function reply(bytes, start) {
  const end = bytes.indexOf("\r\n", start);
  if (end < 0) return null;
  const [kind, rest, next] = [String.fromCharCode(bytes[start]), bytes.toString("utf8", start + 1, end), end + 2];
  if (kind === "-") return [new Error(rest), next];
  if (kind === "+" || kind === ":") return [rest, next];
  if (rest === "-1") return [null, next];
  const length = Number(rest); // of a text in bytes, or of a list
  if (kind === "$") {
    return bytes.length < next + length + 2 ? null : [bytes.toString("utf8", next, next + length), next + length + 2];
  }
  const items = [];
  for (let place = next, item; ; items.push(item[0]), place = item[1]) {
    if (items.length === length) return [items, place];
    if ((item = reply(bytes, place)) === null) return null;
  }
}

redis.on("data", (data) => {
  unread = Buffer.concat([unread, data]);
  for (let found; (found = reply(unread, 0)); unread = unread.subarray(found[1])) {
    const { resolve, reject } = waiting.shift();
    found[0] instanceof Error ? reject(found[0]) : resolve(found[0]);
  }
});

await ask("SELECT", url.pathname.slice(1) || "0");
await ask("XGROUP", "CREATE", stream, group, "0", "MKSTREAM").catch(() => {}); // it is there already
for (let start = "0"; ; ) {
  // First what was left unhandled (after entry 0), then what nobody got yet (">"). BLOCK 0 waits for ever.
  const found = await ask("XREADGROUP", "GROUP", group, "consumer-1", "COUNT", "10", "BLOCK", Number(seconds) * 1000 + "", "STREAMS", stream, start);
  if (found === null) break;
  const entries = found[0][1];
  if (start === "0" && entries.length === 0) start = ">";
  for (const [id, [, text]] of entries) {
    const { jobId, status, file, url, taskId, errorCode } = JSON.parse(text);
    console.log(`${jobId} ${status} ${file ?? url ?? taskId ?? errorCode}`); // what a shop does
    await ask("XACK", stream, group, id);
  }
}
redis.end();
