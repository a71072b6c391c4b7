// The editor itself, in a shadow root: there its style sheets are constructed ones, which the policy allows.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { languageOf } from "./languages.js";
import { colours, theme } from "./theme.js";

const TAB = "\t";
const TAB_SIZE = 4;

/** Puts an editor into a shadow root; `changed` is called for each change of the text. */
export async function mount(root, { text, path, indent, label, isReadOnly, changed }) {
  const language = await languageOf(path).catch(() => []);
  const extensions = [
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    history(),
    drawSelection(),
    indentOnInput(),
    bracketMatching(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    keymap.of([...defaultKeymap, ...searchKeymap, ...historyKeymap, indentWithTab]),
    indentUnit.of(indent || (/(^|\/)(Makefile|makefile|GNUmakefile)$/.test(path) ? TAB : "  ")),
    EditorState.tabSize.of(TAB_SIZE),
    EditorState.readOnly.of(isReadOnly),
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", tabindex: "0" }),
    EditorView.updateListener.of((update) => update.docChanged && changed()),
    syntaxHighlighting(colours),
    theme,
    language,
  ];
  return new EditorView({ state: EditorState.create({ doc: text, extensions }), root, parent: root });
}
