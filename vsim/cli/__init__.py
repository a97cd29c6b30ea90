"""The command `vsim`.

In the order in which to read them; a module imports only from those above it:

    yardstick  what `vsim bench` compares with
    bench      `vsim bench`
    run        `vsim run`
    replay     `vsim replay`
    decode     `vsim decode`
    main       finds a subcommand, runs it, turns its end into an exit status
"""
