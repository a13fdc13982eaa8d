// Bundles src/editor.js into one file of the page, with the licences of what is in it and the hash of its sources, which
// a test compares: the repository is built without node.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const SOURCES = ["package.json", "package-lock.json", "build.js", "src/editor.js"];
const OUTPUT = "../../slotlang/page/codemirror.js";

const hash = createHash("sha256");
for (const name of SOURCES) hash.update(`${name}\0`).update(readFileSync(name)).update("\0");

const made = await build({
  entryPoints: ["src/editor.js"], bundle: true, minify: true, write: false, metafile: true,
  format: "iife", globalName: "SlotEditor", target: "es2021", charset: "ascii",
});
const [output] = Object.values(made.metafile.outputs);
const used = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput);
const packages = [...new Set(used.map(([path]) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean))].sort();
const licences = new Map();
for (const name of packages) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  const text = readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim();
  licences.set(text, [...(licences.get(text) ?? []), `${name} ${version}`]);
}
const notes = [...licences].map(([text, names]) => `${names.join(", ")}:\n\n${text}`).join("\n\n");
if (notes.includes("*/")) throw new Error("a licence ends the comment");
const head = `/* made by "make page" from editors/page, sources sha256 ${hash.digest("hex")}\n\n${notes}\n*/\n`;
writeFileSync(OUTPUT, head + made.outputFiles[0].text);
console.log(`${OUTPUT}: ${(head.length + made.outputFiles[0].text.length) / 1e3 | 0} kB`);
