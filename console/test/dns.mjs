// A name server on this machine, with the TXT records that steps set.

import { createSocket } from "node:dgram";
import { once } from "node:events";

/** The type of TXT records, and the class of the Internet. */
const TXT_IN = Buffer.from([0, 16, 0, 1]);

/** Starts a name server. */
export async function nameServer() {
  const records = new Map();
  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address }) => socket.send(answer(message, records), port, address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    /** Sets the text of the TXT record of a name. */
    set: (name, text) => records.set(name, text),
    stop: () => socket.close(),
  };
}

/** Returns the answer to a message with one question; a name without a record does not exist. */
function answer(message, records) {
  const labels = [];
  let at = 12;
  for (let length = message[at]; length > 0; length = message[at]) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length).toLowerCase());
    at += length + 1;
  }
  const question = message.subarray(12, at + 5);
  const text = records.get(labels.join("."));
  const found = text !== undefined && question.subarray(-4).equals(TXT_IN);
  const header = Buffer.from([message[0], message[1], 0x81, text === undefined ? 0x83 : 0x80, 0, 1, 0, found ? 1 : 0, 0, 0, 0, 0]);
  if (!found) return Buffer.concat([header, question]);
  const data = Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  // The name is that of the question, at offset 12.
  const record = Buffer.concat([Buffer.from([0xc0, 12]), TXT_IN, Buffer.from([0, 0, 0, 60, 0, data.length]), data]);
  return Buffer.concat([header, question, record]);
}
