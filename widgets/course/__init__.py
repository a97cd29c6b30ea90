"""The exercises of the course: numbers of one's own, a guess before the answer, and what a wrong answer gives away.

In the order in which to read them; a module imports only from those above it:

    misconceptions  sixteen beliefs, and what shows that they are wrong
    receipts        the line that a student hands in, and `vsim receipts`
    task            an exercise as a row
    reach           exercises of notebook 00
    bench           exercises of notebook 01
    entries         exercises of notebook 02
    six_names       exercises of notebook 03
    priority        exercises of notebook 04
    trigger         exercises of notebook 05
    useful          exercises of notebook 06
    senders         exercises of notebook 07
    page            exercises of notebook 08
    yours           exercises of notebook 09
    reviewing       exercises of notebook 10
    interface       exercises of notebook 11
    units           exercises of notebook 12
    caches          a unit by hand, and exercises of notebook 13
    moving          exercises of notebook 14
    sizing          exercises of notebook 15
    real_linux      exercises of notebook 16
    two_machines    exercises of notebook 17
    driver          a driver of real instructions, and exercises of notebook 18
    quiz            `Quiz`: the exercises of a notebook for one student
"""
