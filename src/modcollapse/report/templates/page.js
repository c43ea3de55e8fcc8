"use strict";
for (const explorer of document.querySelectorAll(".explorer")) {
  const data = JSON.parse(document.getElementById(explorer.dataset.for).textContent);
  const by = explorer.querySelector("select");
  const at = explorer.querySelector("input");
  const said = explorer.querySelector("output");
  const shown = explorer.querySelector(".shown");
  data.columns.forEach((name, column) => by.add(new Option(name, String(column))));
  by.value = String(data.first);
  at.max = String(data.rows.length - 1);
  let order = [];
  const sort = () => {
    const column = Number(by.value);
    order = data.rows.map((row, index) => index);
    order.sort((one, other) => data.rows[other][column] - data.rows[one][column]);
  };
  const show = () => {
    const index = order[Number(at.value)];
    const row = data.rows[index];
    said.textContent = data.ids[index] + " (" + (Number(at.value) + 1) + " of " + order.length
      + (data.of > order.length ? " with the largest effect, of " + data.of : "") + ")";
    shown.replaceChildren();
    const width = data.high - data.low || 1;
    row.forEach((value, column) => {
      const line = document.createElement("div");
      const name = document.createElement("span");
      const track = document.createElement("span");
      const bar = document.createElement("i");
      const number = document.createElement("span");
      line.className = "row";
      track.className = "track";
      name.textContent = data.columns[column];
      number.textContent = value.toFixed(data.places);
      bar.style.left = (100 * (Math.min(value, 0) - data.low)) / width + "%";
      bar.style.width = (100 * Math.abs(value)) / width + "%";
      if (value < 0) { bar.className = "less"; }
      track.append(bar);
      line.append(name, track, number);
      shown.append(line);
    });
  };
  by.addEventListener("change", () => { sort(); show(); });
  at.addEventListener("input", show);
  sort();
  show();
  explorer.hidden = false;
}
