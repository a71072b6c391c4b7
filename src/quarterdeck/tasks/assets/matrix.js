// What the page of a run on many hosts adds: the map by arrow keys, and choosing hosts of the table.
import "./elements/chosen.js";
import "./elements/matrix.js";
