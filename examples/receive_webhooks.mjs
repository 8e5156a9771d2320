// Take the webhooks of `aigc forward` in Node: `node examples/receive_webhooks.mjs 18092`. No package is needed.
//
// The signature is verified with AIGC_FORWARD_SECRET; with the package `standardwebhooks` it is one call. Any
// 2xx says that the message is safe here: so write it down before that. It may come again, under the same id.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secrets = process.env.AIGC_FORWARD_SECRET.trim().split(/\s+/);
const seen = new Set(); // in a shop, a table with the id as its key, written in one transaction with the rest

// Whether one of our secrets signed these bytes within the last five minutes.
function isGenuine(headers, body) {
  const [id, sentAt] = [headers["webhook-id"], headers["webhook-timestamp"]];
  if (!(Math.abs(Date.now() / 1000 - Number(sentAt)) <= 300)) return false;
  const theirs = (headers["webhook-signature"] ?? "").split(" ").map((each) => Buffer.from(each));
  return secrets.some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const digest = createHmac("sha256", key).update(`${id}.${sentAt}.`).update(body).digest("base64");
    const ours = Buffer.from(`v1,${digest}`);
    return theirs.some((each) => each.length === ours.length && timingSafeEqual(each, ours));
  });
}

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts); // the bytes as they came: they are what was signed
  if (!isGenuine(request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    const { type, data } = JSON.parse(body);
    console.log(id, type, JSON.stringify(data));
  }
  response.writeHead(204).end();
});
server.listen(Number(process.argv[2] ?? 18092), "127.0.0.1");
