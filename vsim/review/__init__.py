"""The review of 2017 held again: its questions, answered by what the kit does.

In the order in which to read them; a module imports only from those above it:

    facts          what the review quotes
    scenarios      each defect of the series at work
    evidence       small domains of every version to try things on
    ways           four ways past 8 bits, measured
    answers        what shows the answers
    answers_later  the same for the later questions
    questions      the questions
"""
