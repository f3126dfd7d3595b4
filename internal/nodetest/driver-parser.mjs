// The reference parser, for the tests that compare package siopacket with it.
import { Decoder } from "socket.io-parser";
import { record } from "./record-wire.mjs";

// Passes one sequence of messages to a new decoder.
function parse(messages) {
  const decoder = new Decoder();
  const packets = [];
  const only = ({ type, nsp, id, data }) => ({ type, nsp, id, data });
  decoder.on("decoded", (packet) => packets.push(only(packet)));
  try {
    for (const message of messages) decoder.add(message);
  } catch (error) {
    return { error: error.message, packets };
  }
  return { pending: decoder.reconstructor ? only(decoder.reconstructor.reconPack) : null, packets };
}

export const ops = {
  parse: ({ sequences }) => sequences.map(parse),
  recordWire: () => record(),
};
