"""Somebody at a page: clicks only on what can be seen, scrolls to what cannot, and counts both.

    person = Person(page)
    person.click(page.get_by_role("button", name="fire"))
    person.reads(page.get_by_text("accepted by"))
    person.clicks, person.scrolls           # 1, 0
"""

from __future__ import annotations

from typing import Any

LOOKS = 20
"""How often one looks, a twentieth of a second apart, before something is taken to be out of sight."""

# What a person sees of an element: its middle line, where it is neither clipped, nor outside the window, nor covered.
_SEEN = """(each) => {
  const box = each.getBoundingClientRect(), inside = each.tagName === "OPTION" ? each.parentElement : each;
  const x = box.left + Math.min(box.width, 60) / 2, y = box.top + Math.min(box.height, 40) / 2;
  if (!box.width || !box.height || x < 0 || y < 0 || x > innerWidth || y > innerHeight) return false;
  for (let at = each.parentElement; at && at !== document.body; at = at.parentElement) {
    const { overflowX, overflowY } = getComputedStyle(at), frame = at.getBoundingClientRect();
    if (overflowY !== "visible" && (box.top < frame.top - 1 || y > frame.bottom)) return false;
    if (overflowX !== "visible" && (box.left < frame.left - 1 || x > frame.right)) return false;
  }
  const hit = document.elementFromPoint(x, y);
  return Boolean(hit && (inside.contains(hit) || hit.contains(inside) || hit.closest("label")?.control === each));
}"""


class Person:
    """Uses a page of Playwright, and waits as long as that page does. clicks, scrolls: how many until now; a list that
    opens costs a click more."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks, self.scrolls = page, 0, 0

    def click(self, target: Any) -> None:
        """Click on something. TimeoutError of Playwright's when it never comes."""
        self._look_for(target)
        target.click()
        self.clicks += 1

    def pick(self, option: Any) -> None:
        """Click on a line of a list that is always open."""
        self._look_for(option)
        box = option.bounding_box()
        self.page.mouse.click(box["x"] + min(box["width"], 60) / 2, box["y"] + box["height"] / 2)
        self.clicks += 1

    def choose(self, target: Any, **wanted: Any) -> None:
        """Open a list and click on a line of it, named as Playwright's `select_option` does."""
        self._look_for(target)
        target.select_option(**wanted)
        self.clicks += 2

    def write(self, target: Any, text: str) -> None:
        """Click into a field, and replace what is in it by the keyboard."""
        self.click(target)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def reads(self, target: Any) -> None:
        """Wait until words are there, and see them."""
        self._look_for(target)

    def _look_for(self, target: Any) -> None:
        """Scroll to it, unless it is in sight or comes into sight by itself in a moment."""
        target.wait_for(state="attached")
        if not self.sees(target):
            self.scrolls += 1
            target.scroll_into_view_if_needed()
            if not self.sees(target):
                target.evaluate("(each) => each.scrollIntoView({ block: 'center' })")

    def sees(self, target: Any) -> bool:
        """Whether something is in sight, now or in a moment, which is longer where the computer is busy."""
        for _ in range(LOOKS):
            if target.evaluate(_SEEN):
                return True
            self.page.wait_for_timeout(50)
        return False
