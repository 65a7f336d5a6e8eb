// This script is optional: without JavaScript, the form sends the search to the server, and tables have the order of the server.
const input = document.querySelector("input[name=q]");
if (input) {
  const families = [...document.querySelectorAll(".family")].map(d => [d, (d.firstChild.textContent + " " + d.dataset.words).toLowerCase()]);
  const none = document.querySelector("form[role=search]").closest("section").querySelector(".none");
  const count = document.querySelector("#count");
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [details, text] of families) {
      details.hidden = !words.every(word => text.includes(word));
      shown += !details.hidden;
    }
    none.hidden = shown > 0;
    count.textContent = shown;
  };
  input.addEventListener("input", filter);
  input.form.addEventListener("submit", event => { event.preventDefault(); filter(); });
  input.form.querySelector("button").hidden = true;
  document.addEventListener("keydown", event => {
    const at = document.activeElement;
    if (event.key === "/" && at !== input && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
    }
  });
}

// The heads of columns become buttons that sort: numbers from the largest, texts from the first letter.
const sorter = new Intl.Collator();
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    if (head.classList.contains("share")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    const isNumber = head.classList.contains("number");
    button.addEventListener("click", () => {
      const first = isNumber ? "descending" : "ascending", second = isNumber ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)], difference = x - y;
        return Number.isNaN(difference) ? sorter.compare(x, y) : difference;
      };
      const rows = [...body.rows].sort(compare);
      if (order === "descending") rows.reverse();
      // Rows without a value are the last ones in both orders.
      const isEmpty = row => row.cells[column].dataset.value === "";
      body.append(...rows.filter(row => !isEmpty(row)), ...rows.filter(isEmpty));
    });
  });
}

// Queries and rules have a button that copies them.
for (const text of document.querySelectorAll("pre.copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy " + text.textContent);
  button.addEventListener("click", async () => {
    // Browsers allow `navigator.clipboard` only with HTTPS and on localhost. Elsewhere, `execCommand` copies the selection.
    getSelection().selectAllChildren(text);
    try { await navigator.clipboard.writeText(text.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  text.after(button);
}
