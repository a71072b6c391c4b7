// The table of the fleet: what is on the screen moves.
import "./elements/fleet_table.js";
