// Values in the words of the server.
import { bytes } from "../dashboard/units.js";

function plain(value, decimals) {
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** On an axis no more decimals stand than are needed. */
export function textOf(unit, value, decimals, isAxis = false) {
  if (value === null || value === undefined) return "–";
  if (unit === "bytes a second") return isAxis && !value ? "0" : `${bytes(Math.round(value))}/s`;
  const number = isAxis ? value.toLocaleString("en", { maximumFractionDigits: 3 }) : plain(value, decimals);
  if (unit === "percent") return `${isAxis ? number : plain(value, 1)} %`;
  if (unit === "degrees Celsius") return `${isAxis ? number : plain(value, 1)} °C`;
  return number;
}
