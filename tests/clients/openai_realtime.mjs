// Talks with an agent through the unmodified OpenAI JavaScript SDK; prints what it received as one JSON object.
//
// usage: node openai_realtime.mjs URL KEY OUT   (run in the folder of node_modules)
//
// What the agent says is written to OUT as bare samples, 24 kHz 16-bit mono; each event is told with the bytes of sound
// that had come before it.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";

const require = createRequire(`${process.cwd()}/`);
const { OpenAI } = require("openai");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

// The longest that anything is waited for.
const PATIENCE_MS = 20_000;

const [url, key, out] = process.argv.slice(2);

const events = [];
const errors = [];
const sound = [];
let bytes = 0;
let wake = () => {};

const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1` });
// The SDK knows wss alone, and servers of tests have no certificate.
const createConnection = ({ host, port }) => connect({ host, port });
const session = new OpenAIRealtimeWS({ model: "gpt-realtime", options: { createConnection } }, client);
const closed = new Promise((resolve) => session.socket.on("close", resolve));

session.on("event", (event) => {
  if (event.type === "response.output_audio.delta") {
    const piece = Buffer.from(event.delta, "base64");
    sound.push(piece);
    bytes += piece.length;
  } else {
    events.push({ ...event, bytes });
  }
  wake();
});
session.on("error", (error) => {
  errors.push(error.error?.code ?? String(error));
  wake();
});

// Where the first event of this type is, from `since` on.
async function waitFor(type, since) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const at = events.findIndex((event, index) => index >= since && event.type === type);
    if (at >= 0) return at;
    const left = until - Date.now();
    if (left <= 0) {
      const types = events.map((event) => event.type);
      throw new Error(`${type} did not come; there came ${types} and ${bytes} bytes, errors: ${errors}`);
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, left);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function write(text) {
  const content = [{ type: "input_text", text }];
  session.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
}

const tool = {
  type: "function",
  name: "look_up_order",
  description: "Says what became of an order.",
  parameters: { type: "object", properties: { number: { type: "string" } }, required: ["number"] },
};

const created = await waitFor("session.created", 0);
session.send({
  type: "session.update",
  session: {
    type: "realtime",
    instructions: "You are a clerk of a shop.",
    output_modalities: ["audio"],
    audio: { output: { format: { type: "audio/pcm", rate: 24_000 }, voice: "alloy" } },
    tools: [tool],
  },
});
const updated = await waitFor("session.updated", created);

write("What became of my order?");
session.send({ type: "response.create", response: { tool_choice: { type: "function", name: tool.name } } });
const called = await waitFor("response.function_call_arguments.done", updated);
const calling = await waitFor("response.done", called);
const item = { type: "function_call_output", call_id: events[called].call_id, output: '{"state": "shipped"}' };
session.send({ type: "conversation.item.create", item });
session.send({ type: "response.create" });
const spoken = await waitFor("response.done", calling + 1);

write("Do you open on Sundays?");
session.send({ type: "response.create", response: { output_modalities: ["text"] } });
const written = await waitFor("response.done", spoken + 1);

session.send({ type: "response.create", response: { tool_choice: "always" } });
await waitFor("error", written + 1);
session.close();
await closed;

writeFileSync(out, Buffer.concat(sound));
console.log(JSON.stringify({ events, errors, bytes }));
