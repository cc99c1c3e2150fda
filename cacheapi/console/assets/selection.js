// How many keys of a list are selected, and all of them at once.
export function countSelected(root) {
  const all = root.querySelector("#select-all");
  if (!all) return;
  const boxes = [...root.querySelectorAll("[name=selected]")];
  const tell = () => {
    const number = boxes.filter((box) => box.checked).length;
    root.querySelector("#selected-count").textContent = number ? `: ${number}` : "";
    all.checked = number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
  };
  for (const box of boxes) box.addEventListener("change", tell);
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    tell();
  });
  tell();
}
