// What the page of a run adds: output that goes on while it comes.
import "./elements/log.js";
