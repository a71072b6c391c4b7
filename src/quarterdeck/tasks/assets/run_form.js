// What the form that starts a run adds: choosing among many hosts.
import "./elements/picker.js";
