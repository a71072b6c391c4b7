// Bundles every `assets/` folder into src/quarterdeck/static/dist: hashed names, manifest, icon sprite,
// licences, gzip and brotli twins. `hatch_build.py` runs it; by hand it is `node build.mjs`.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const SOURCE = "src/quarterdeck";
const DIST = `${SOURCE}/static/dist`;
const FRESH = `node_modules/.dist-new-${process.pid}`;
const OLD = `node_modules/.dist-old-${process.pid}`;
const CORE = `${SOURCE}/core/ui`;
const ICONS = "node_modules/bootstrap-icons";

/** Each capability's `assets/*.js` and `assets/*.css` is a bundle of its own, named by its file. */
function findBundles() {
  const bundles = { core: [`${CORE}/assets/js/app.js`, `${CORE}/assets/js/live.js`, `${CORE}/assets/css/app.css`] };
  for (const capability of readdirSync(SOURCE).sort()) {
    const folder = `${SOURCE}/${capability}/assets`;
    if (!existsSync(folder)) continue;
    const files = readdirSync(folder).filter((name) => /\.(js|css)$/.test(name));
    bundles[capability] = files.sort().map((name) => `${folder}/${name}`);
  }
  return bundles;
}

function stem(path) {
  return basename(path, extname(path));
}

async function bundle(bundles) {
  const files = Object.values(bundles).flat();
  refuseDuplicates(files);
  const result = await esbuild.build({
    entryPoints: files.map((path) => ({ in: path, out: stem(path) })),
    outdir: FRESH,
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    target: ["chrome123", "firefox120", "safari17.5"],
    entryNames: "[name].[hash]",
    chunkNames: "chunk.[hash]",
    legalComments: "none",
    loader: { ".svg": "file" },
    assetNames: "[name].[hash]",
    metafile: true,
    logLevel: "warning",
  });
  return result.metafile;
}

function refuseDuplicates(files) {
  const seen = new Set();
  for (const name of files.map((path) => basename(path))) {
    if (seen.has(name)) throw new Error(`Two bundles are called ${name}; rename one of them.`);
    seen.add(name);
  }
}

/** Two decimals are a hundredth of a pixel; what more there is only weighs. */
function round(path) {
  return path.replace(
    /\.(\d{3,})/g,
    (_, digits) => `.${String(Math.min(99, Math.round(digits.slice(0, 3) / 10))).padStart(2, "0")}`,
  );
}

/** Icons are named where they are used: `icon("bell")` in a template, `icon="bell"` in Python. */
function usedIcons() {
  const users = new Map();
  const files = [...walk(SOURCE, ".html"), ...walk(CORE, ".py"), ...walk(`${SOURCE}/home`, ".py")];
  for (const file of files) {
    const capability = file.split("/")[2];
    for (const [, name] of readFileSync(file, "utf8").matchAll(/\bicon\s*[(=]\s*["']([a-z0-9-]+)["']/g)) {
      if (!existsSync(`${ICONS}/icons/${name}.svg`))
        throw new Error(`${file} names the icon ${name}, which does not exist.`);
      users.set(name, (users.get(name) ?? new Set()).add(capability));
    }
  }
  return users;
}

/** What one capability alone uses is in a sprite of its own, so that the landing page does not carry it. */
function sprites() {
  const names = {};
  for (const [name, users] of [...usedIcons()].sort()) {
    const isShared = users.size > 1 || users.has("core") || users.has("home");
    const file = isShared ? "icons.svg" : `icons-${[...users][0]}.svg`;
    names[file] = [...(names[file] ?? []), name];
  }
  return names;
}

function walk(folder, ending) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

function sprite(names) {
  const symbols = names.map((name) => {
    const svg = readFileSync(`${ICONS}/icons/${name}.svg`, "utf8");
    const body = svg
      .replace(/^[\s\S]*?<svg[^>]*>/, "")
      .replace(/<\/svg>\s*$/, "")
      .replace(/\s*\n\s*/g, "");
    return `<symbol id="${name}" viewBox="0 0 16 16">${round(body)}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" fill="currentColor">${symbols.join("")}</svg>\n`;
}

function writeHashed(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  const hashed = `${stem(name)}.${hash}${extname(name)}`;
  writeFileSync(`${FRESH}/${hashed}`, content);
  return hashed;
}

function licences(metafile) {
  const packages = new Set(["bootstrap-icons"]);
  for (const input of Object.keys(metafile.inputs)) {
    const match = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (match) packages.add(match[1]);
  }
  return [...packages].sort().map(licence).join("\n\n");
}

function licence(name) {
  const folder = `node_modules/${name}`;
  const about = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : "The package ships no licence text.";
  return `${name} ${about.version} (${about.license})\n${"=".repeat(72)}\n${text}\n`;
}

function manifest(bundles, metafile, images, icons) {
  const files = { ...images };
  for (const [output, about] of Object.entries(metafile.outputs)) {
    if (about.entryPoint) files[basename(about.entryPoint)] = basename(output);
  }
  const modules = {};
  for (const [capability, paths] of Object.entries(bundles)) {
    modules[capability] = paths.map((path) => basename(path));
    for (const path of paths)
      modules[stem(path)] ??= paths.map((other) => basename(other)).filter((other) => stem(other) === stem(path));
  }
  const sheets = Object.entries(icons).flatMap(([file, names]) => names.map((name) => [name, file]));
  return { files, modules, icons: Object.fromEntries(sheets.sort()) };
}

function compress() {
  for (const name of readdirSync(FRESH)) {
    if (!/\.(js|css|svg|txt)$/.test(name)) continue;
    const content = readFileSync(`${FRESH}/${name}`);
    writeFileSync(`${FRESH}/${name}.gz`, gzipSync(content, { level: 9 }));
    writeFileSync(
      `${FRESH}/${name}.br`,
      brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
    );
  }
}

mkdirSync(FRESH, { recursive: true });
const bundles = findBundles();
const metafile = await bundle(bundles);
const icons = sprites();
const images = {};
for (const [file, names] of Object.entries(icons)) images[file] = writeHashed(file, sprite(names));
for (const path of walk(`${CORE}/assets/img`, ".svg"))
  images[basename(path)] = writeHashed(basename(path), readFileSync(path));
writeFileSync(`${FRESH}/third-party.txt`, licences(metafile));
writeFileSync(`${FRESH}/manifest.json`, `${JSON.stringify(manifest(bundles, metafile, images, icons), null, 2)}\n`);
compress();
mkdirSync(dirname(DIST), { recursive: true });
if (existsSync(DIST)) renameSync(DIST, OLD);
renameSync(FRESH, DIST);
rmSync(OLD, { recursive: true, force: true });
