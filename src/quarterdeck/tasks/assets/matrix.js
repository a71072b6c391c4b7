// What the page of a run on many hosts adds: choosing hosts of the table.
import "./elements/chosen.js";
