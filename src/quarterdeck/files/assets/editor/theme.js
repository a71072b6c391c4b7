// The editor's looks, all from the tokens of the page: they reach into the shadow root and know the dark.
import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const mixed = (colour, share) => `color-mix(in srgb, var(${colour}) ${share}%, transparent)`;
const button = {
  border: "1px solid var(--line-strong)",
  borderRadius: "var(--radius)",
  background: "var(--surface)",
  backgroundImage: "none",
  color: "var(--text)",
  font: "inherit",
  minHeight: "1.75rem",
  padding: "0.1rem 0.5rem",
};

export const theme = EditorView.theme({
  "&": { background: "var(--surface)", color: "var(--text)", fontSize: "var(--size-s)", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  ".cm-gutters": { background: "var(--sunken)", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 0.75rem 0 0.5rem", minWidth: "2.75rem" },
  ".cm-activeLine": { background: mixed("--accent", 6) },
  ".cm-activeLineGutter": { background: mixed("--accent", 12), color: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: mixed("--accent", 26),
  },
  ".cm-selectionMatch": { background: mixed("--success", 20) },
  "&.cm-focused .cm-matchingBracket": { background: mixed("--active", 24), outline: "1px solid var(--active)" },
  "&.cm-focused .cm-nonmatchingBracket": { background: mixed("--error", 24) },
  ".cm-specialChar": { color: "var(--error)" },
  ".cm-panels": { background: "var(--raised)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panel.cm-search": {
    display: "flex",
    flexWrap: "wrap",
    alignItems: "center",
    gap: "0.375rem 0.5rem",
    padding: "0.5rem 2.25rem 0.5rem 0.75rem",
    font: "400 var(--size-s) / 1.4 var(--font)",
  },
  ".cm-panel.cm-search br": { display: "none" },
  ".cm-panel.cm-search :is(input, button, label)": { margin: 0, fontSize: "var(--size-s)" },
  ".cm-panel.cm-search label": { display: "inline-flex", alignItems: "center", gap: "0.25rem" },
  ".cm-panel.cm-search [name=close]": { ...button, border: 0, inset: "0.4rem 0.4rem auto auto", minWidth: "1.75rem" },
  ".cm-button": button,
  ".cm-textfield": { ...button, minWidth: "10rem" },
  ".cm-searchMatch": { background: mixed("--brass", 34), outline: "1px solid var(--line-strong)" },
  ".cm-searchMatch-selected": { background: mixed("--brass", 70) },
  ":is(button, input):focus-visible": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
});

export const colours = HighlightStyle.define([
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--success)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--warning)" },
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier, tags.meta], color: "var(--info)", fontWeight: "600" },
  { tag: [tags.propertyName, tags.attributeName, tags.definition(tags.variableName)], color: "var(--active)" },
  { tag: [tags.typeName, tags.className, tags.tagName, tags.labelName], color: "var(--active)" },
  { tag: tags.heading, fontWeight: "700" },
  { tag: tags.invalid, color: "var(--error)", textDecoration: "underline wavy" },
]);
