"""The live map: a scene, tokens that travel in it, and the page that shows both.

In the order in which to read them; a module imports only from those above it:

    tokens   events folded into tokens
    arrange  where everything stands
    table    who uses the entries of the remapping tables
    scene    the picture of a machine as data
    tally    what was counted
    parts    the parts in `js/` as one module
    page     the map as one HTML file
    live     `LiveMap`, and `Map` of a Lab

The page's side is in `js/`, one subject a file, and `map.css`:

- text: `notation.js` numbers and names, `sentences.js` interrupts and places told, `words.js` all that stands around
  the picture, `elements.js` how an element is made
- data: `tokens.js` tokens and their numbers, `tally.js` counts, `table.js` entries in use, `theme.js` colours and sizes
- things in the picture, each with where it stands, what is at a point, how it looks: `senders.js` devices and routers,
  `mainboard.js` its lines and the pair of 8259,
  `units.js` the vIOMMUs and their tables, `wall.js` the vLAPICs; `roads.js` the lines between them, `marks.js` every
  mark, `painter.js` the canvases, `picture.js` all of it together, `legend.js` what it means
- on the way: `ways.js` corner by corner, `flights.js` tokens in motion, `traces.js` ways that are lit,
  `labels.js` what is said at their stops, `rates.js` ways that are busy
- time: `intake.js` what the kernel sends, `player.js` frames, steps and the recording
- gestures: `panel.js` the elements and what they call, `pointer.js`, `keyboard.js` and the screen reader
- `view.js` holds them together
"""
