// What the pages of files add: a list that searches as one types, and an editor in place of the text area.
import "./elements/picker.js";
import "./elements/editor.js";
