// Optional: without JavaScript, the form sends the search to the server.
const input = document.querySelector("input[name=q]");
if (input) {
  const families = [...document.querySelectorAll("details")].map(d => [d, d.textContent.toLowerCase()]);
  const none = document.querySelector(".none"), count = document.querySelector("#count");
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
  document.querySelector("button").hidden = true;
  document.addEventListener("keydown", event => {
    if (event.key === "/" && document.activeElement !== input) { event.preventDefault(); input.focus(); }
  });
}
