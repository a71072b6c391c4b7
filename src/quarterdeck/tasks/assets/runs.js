// What the list and the form of runs add to the frame; the output of a run is a bundle of its own.
import "./elements/elapsed.js";
import "./elements/picker.js";
