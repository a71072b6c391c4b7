/** Bytes as people read them, as the server writes them: `812 B`, `4.2 MB`. */
export function bytes(count) {
  let amount = count;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (amount < 1000 || unit === "TB")
      return unit === "B" || amount >= 100 ? `${amount.toFixed(0)} ${unit}` : `${amount.toFixed(1)} ${unit}`;
    amount /= 1000;
  }
}
