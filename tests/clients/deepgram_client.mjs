// Drives a server with the unmodified Deepgram JavaScript SDK; prints what it received as one JSON object.
//
// usage: NODE_PATH=… node deepgram_client.mjs URL KEY SCENARIO FILE   (run in the folder of node_modules)

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { DeepgramClient, DeepgramError } = require("@deepgram/sdk");

const PIECE_MS = 100;
const [url, key, scenario, file] = process.argv.slice(2);
const sockets = url.replace("http://", "ws://");
const environment = { base: url, production: sockets, agent: sockets, agentRest: url };

// The samples of a canonical 16-bit WAV file.
function pcm(path) {
  const bytes = readFileSync(path);
  return { bytes: bytes.subarray(44), rate: bytes.readUInt32LE(24), channels: bytes.readUInt16LE(22) };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function live(options) {
  const { bytes, rate, channels } = pcm(file);
  const client = new DeepgramClient({ apiKey: key, environment });
  const connection = await client.listen.v1.connect({
    model: "nova-3",
    encoding: "linear16",
    sample_rate: rate,
    channels,
    reconnectAttempts: 0,
    ...options,
  });
  const messages = [];
  connection.on("message", (message) => messages.push(message));
  const closed = new Promise((resolve) => connection.on("close", (event) => resolve(event.code)));
  connection.connect();
  await connection.waitForOpen();
  const piece = (rate * 2 * channels * PIECE_MS) / 1000;
  const began = Date.now();
  for (let index = 0; index * piece < bytes.length; index += 1) {
    connection.sendMedia(bytes.subarray(index * piece, (index + 1) * piece));
    if (index === 10) connection.sendKeepAlive({ type: "KeepAlive" });
    await pause(Math.max(0, began + (index + 1) * PIECE_MS - Date.now()));
  }
  connection.sendFinalize({ type: "Finalize" });
  await pause(500);
  connection.sendCloseStream({ type: "CloseStream" });
  const code = await Promise.race([closed, pause(30_000).then(() => "still open")]);
  connection.close();
  const results = messages.filter((message) => message.type === "Results");
  const finals = results.filter((result) => result.is_final);
  const texts = {};
  for (const final of finals) {
    const text = final.channel.alternatives[0].transcript;
    if (text) texts[final.channel_index[0]] = [...(texts[final.channel_index[0]] ?? []), text];
  }
  return {
    channels: Object.fromEntries(Object.entries(texts).map(([channel, parts]) => [channel, parts.join(" ")])),
    interims: results.length - finals.length,
    from_finalize: finals.filter((final) => final.from_finalize).length,
    last: messages.at(-1)?.type,
    metadata: messages.find((message) => message.type === "Metadata"),
    close: code,
  };
}

async function prerecorded() {
  const client = new DeepgramClient({ apiKey: key, environment });
  const response = await client.listen.v1.media.transcribeFile(readFileSync(file), { model: "nova-3", punctuate: true });
  const alternative = response.results.channels[0].alternatives[0];
  return { transcript: alternative.transcript, words: alternative.words.length, duration: response.metadata.duration };
}

async function refusal(apiKey, options) {
  const client = new DeepgramClient({ apiKey, environment, maxRetries: 0 });
  try {
    await client.listen.v1.media.transcribeFile(readFileSync(file), { model: "nova-3", ...options });
    return { name: null };
  } catch (error) {
    return {
      name: error.constructor.name,
      typed: error instanceof DeepgramError,
      status: error.statusCode,
      body: error.body,
    };
  }
}

const scenarios = {
  live: () => live({ interim_results: "true", punctuate: "true" }),
  multichannel: () => live({ multichannel: "true" }),
  prerecorded,
  refusals: async () => ({
    key: await refusal("wrong", {}),
    value: await refusal(key, { language: "tlh" }),
  }),
};

console.log(JSON.stringify(await scenarios[scenario]()));
process.exit(0);
