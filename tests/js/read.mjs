// Reads an exported .automerge file with the public npm package and prints what it holds, in one
// canonical line that another program can compare byte for byte:
//
//   node read.mjs FILE   ->   {"content":{...},"heads":["..."]}
//
// Keys are sorted by their UTF-8 bytes, texts and scalar strings are both strings, bytes are
// lower-case hexadecimal, counters are their value, moments are milliseconds since 1970, whole
// numbers keep all their digits. A key that holds several values shows the one that Automerge
// shows. Heads are sorted.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import * as Automerge from "@automerge/automerge";

const byUtf8 = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The canonical JSON of one value of a document. */
export function canonical(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError("a number without a JSON form");
    return JSON.stringify(value);
  }
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString("hex"));
  if (value instanceof Date) return JSON.stringify(value.getTime());
  if (Automerge.isCounter(value)) return canonical(value.value);
  if (Automerge.isImmutableString(value)) return JSON.stringify(value.val);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object") {
    const keys = Object.keys(value).sort(byUtf8);
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  throw new TypeError(`a value of type ${typeof value} has no canonical form`);
}

/** The canonical line for a saved document. */
export function read(bytes) {
  const document = Automerge.load(bytes);
  const heads = [...Automerge.getHeads(document)].sort();
  return `{"content":${canonical(document)},"heads":${JSON.stringify(heads)}}`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = process.argv[2];
  if (file === undefined || process.argv.length > 3) {
    console.error("usage: node read.mjs FILE");
    process.exitCode = 2;
  } else {
    console.log(read(await readFile(file)));
  }
}
