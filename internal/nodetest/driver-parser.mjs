// The reference parser, for the tests that compare package siopacket with it.
import { Decoder, PacketType } from "socket.io-parser";
import { record } from "./record-wire.mjs";

// Passes one sequence of messages to a new decoder.
function parse(messages) {
  const decoder = new Decoder();
  const packets = [];
  const isEvent = (type) => type === PacketType.EVENT || type === PacketType.BINARY_EVENT;
  const only = ({ type, nsp, id, data }) => ({ type, nsp, id, data, name: isEvent(type) && data ? String(data[0]) : "" });
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
