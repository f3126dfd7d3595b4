// Binary data in the lines that driver.mjs exchanges: {"$binary":"<base64>"}. A Date, which only
// comes in, is {"$date":"<ISO 8601>"}. pack and unpack
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
  if (typeof value?.$date === "string") return new Date(value.$date);
  return typeof value?.$binary === "string" ? Buffer.from(value.$binary, "base64") : value;
}
