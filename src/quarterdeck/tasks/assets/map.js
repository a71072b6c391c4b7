// What the page of a run on very many hosts adds: the map by arrow keys.
import "./elements/matrix.js";
