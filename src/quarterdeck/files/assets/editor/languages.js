// Which language a file is written in, by its name; each one is loaded when a file needs it.
import { StreamLanguage } from "@codemirror/language";

const legacy = async (module, name) => StreamLanguage.define((await module)[name]);

const BY_NAME = [
  [/\.(ya?ml)$/i, async () => (await import("@codemirror/lang-yaml")).yaml()],
  [/\.(json|jsonc|webmanifest|ipynb)$/i, async () => (await import("@codemirror/lang-json")).json()],
  [/\.pyi?$/i, async () => (await import("@codemirror/lang-python")).python()],
  [/\.(sh|bash|zsh|ksh|env)$|(^|\/)(\.env|\.?(bash|zsh)rc|\.?profile)$/i, () => legacy(shell(), "shell")],
  [/\.toml$|(^|\/)Pipfile$/i, () => legacy(import("@codemirror/legacy-modes/mode/toml"), "toml")],
  [/nginx[^/]*$|(^|\/)nginx\/.*\.conf$/i, () => legacy(import("@codemirror/legacy-modes/mode/nginx"), "nginx")],
  [/\.(properties|ini|cfg|conf|cnf|service|timer|socket|editorconfig)$|(^|\/)\.gitconfig$/i, () => properties()],
  [/(^|\/)(Dockerfile|Containerfile)[^/]*$/i, () => legacy(docker(), "dockerFile")],
];

const shell = () => import("@codemirror/legacy-modes/mode/shell");
const docker = () => import("@codemirror/legacy-modes/mode/dockerfile");
const properties = () => legacy(import("@codemirror/legacy-modes/mode/properties"), "properties");

/** Returns the extension of a file's language; nothing for one that is not known. */
export async function languageOf(path) {
  const found = BY_NAME.find(([pattern]) => pattern.test(path));
  return found ? found[1]() : [];
}
