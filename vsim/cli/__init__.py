"""The command `vsim`.

In the order in which to read them; a module imports only from those above it:

    entry      where the command begins: Ctrl-C is answered from the first import on
    output     what is written: escaped, with one end for errors
    values     what is typed: names, numbers of a range
    waiting    progress, the time left, and Ctrl-C that keeps what is known
    main       finds a subcommand, runs it, turns its end into an exit status
    yardstick  what `vsim bench` compares with
    bench      `vsim bench`
    run        `vsim run`
    rerun      what `vsim replay` tells of a whole run
    replay     `vsim replay`
    record     `vsim record`
    decode     `vsim decode`
    sweep      `vsim sweep`
    size       `vsim size`
    race       `vsim race`
    read       `vsim read`
    diff       `vsim diff`
"""
