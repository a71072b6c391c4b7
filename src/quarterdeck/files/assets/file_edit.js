// The page of a file that is changed: an editor in place of the text area.
import "./elements/editor.js";
