// What the list and the page of runs add to the frame; the form and the output have bundles of their own.
import "./elements/elapsed.js";
