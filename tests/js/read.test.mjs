import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { canonical, read } from "./read.mjs";

const document = () =>
  Automerge.from(
    {
      text: "plan: walk, then ring",
      kind: new Automerge.ImmutableString("case"),
      entries: [{ id: new Uint8Array([0xa5, 0x00]), at: 1_760_000_000_000, by: null }],
      visits: new Automerge.Counter(3),
      seen: new Date(1_760_000_000_000),
      fields: { "\u{1F600}": true, "\uFF01": 1.5, b: -1, a: "x" },
    },
    "0a0a",
  );

const expected =
  '{"entries":[{"at":1760000000000,"by":null,"id":"a500"}],' +
  '"fields":{"a":"x","b":-1,"\uFF01":1.5,"\u{1F600}":true},' +
  '"kind":"case","seen":1760000000000,"text":"plan: walk, then ring","visits":3}';

test("every kind of value has one canonical form", () => {
  const saved = Automerge.save(document());
  const heads = JSON.stringify(Automerge.getHeads(Automerge.load(saved)));
  assert.equal(read(saved), `{"content":${expected},"heads":${heads}}`);
});

test("whole numbers keep all their digits", () => {
  assert.equal(canonical(9007199254740993n), "9007199254740993");
});

test("what has no JSON form is refused, not guessed", () => {
  assert.throws(() => canonical(Number.NaN), TypeError);
  assert.throws(() => canonical(undefined), TypeError);
});

test("the order of two merged writers does not change the line", () => {
  const base = document();
  const one = Automerge.change(Automerge.clone(base), (d) => d.entries.push({ at: 1 }));
  const two = Automerge.change(Automerge.clone(base), (d) => d.entries.push({ at: 2 }));
  const there = Automerge.merge(Automerge.clone(one), two);
  const back = Automerge.merge(Automerge.clone(two), one);
  assert.equal(Automerge.getHeads(there).length, 2);
  assert.equal(read(Automerge.save(there)), read(Automerge.save(back)));
});

test("the command prints the line, and fails on a file that is no document", async () => {
  const run = promisify(execFile);
  const command = fileURLToPath(new URL("read.mjs", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "ridgeway-"));
  try {
    const saved = Automerge.save(document());
    await writeFile(join(folder, "case.automerge"), saved);
    const { stdout } = await run(process.execPath, [command, join(folder, "case.automerge")]);
    assert.equal(stdout, `${read(saved)}\n`);
    await writeFile(join(folder, "torn.automerge"), saved.subarray(0, saved.length / 2));
    await assert.rejects(run(process.execPath, [command, join(folder, "torn.automerge")]));
  } finally {
    await rm(folder, { recursive: true });
  }
});
