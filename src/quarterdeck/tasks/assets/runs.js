// What the pages of runs add to the frame.
import "./elements/log.js";
import "./elements/elapsed.js";
import "./elements/picker.js";
