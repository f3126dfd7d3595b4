// Binary data in the lines that driver.mjs exchanges: {"$binary":"<base64>"}. pack and unpack
// are for JSON.stringify and JSON.parse. `this[key]` is the value before Buffer's toJSON
// converted it.
export function pack(key, value) {
  const original = this[key];
  if (original instanceof ArrayBuffer) return { $binary: Buffer.from(original).toString("base64") };
  if (ArrayBuffer.isView(original)) {
    return { $binary: Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString("base64") };
  }
  return value;
}

export function unpack(key, value) {
  return typeof value?.$binary === "string" ? Buffer.from(value.$binary, "base64") : value;
}
