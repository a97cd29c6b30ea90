/* The loops of vsim/storm/loop.py, written for C. In front of this text stand, generated: the constants, the tables
 * OUTCOME and QUALIFIED, the operands and chains of the check table, and the type of the arrays.
 * What a loop does not do itself it leaves: it stops there, with the reason in totals[LEFT]. */

static int refused(const struct storm *s, int check, int quiet)
{
    int64_t *totals = s->totals;

    if (QUALIFIED[check] && quiet)
        totals[SUPPRESSED]++;
    else if (s->facts[OVERFLOW])
        totals[OVERFLOWED]++;
    else
        return FAULT;
    totals[SENT]++;
    totals[BLOCKED]++;
    totals[FAULTS + OUTCOME[check]]++;
    return 0;
}

static int highest(const uint32_t *words)
{
    for (int word = 7; word >= 0; word--)
        if (words[word])
            return 32 * word + 31 - __builtin_clz(words[word]);
    return -1;
}

static int64_t ppr_of(int64_t tpr, int in_service)
{
    if (in_service < 0 || (tpr & 0xF0) >= (in_service & 0xF0))
        return tpr;
    return in_service & 0xF0;
}

/* Whose priority is lowest; among equals the next one behind the last winner. */
static int64_t chosen(const struct storm *s, int64_t first, int64_t count)
{
    int64_t best = INT64_MAX, last = s->totals[WINNER];

    if (s->facts[FIRST_WINS])
        return s->targets[first];
    for (int64_t place = first; place < first + count; place++) {
        int64_t vcpu = s->targets[place];
        int64_t rank = ppr_of(s->tpr[vcpu], highest(s->isr + 8 * vcpu)) << 17 | (int64_t)(vcpu <= last) << 16 | vcpu;
        if (rank < best)
            best = rank;
    }
    return s->totals[WINNER] = best & 0xFFFF;
}

static void enter(const struct storm *s, int64_t vcpu, int vector, int level)
{
    int64_t at = 8 * vcpu + (vector >> 5);
    uint32_t bit = UINT32_C(1) << (vector & 31);

    s->tmr[at] = level ? s->tmr[at] | bit : s->tmr[at] & ~bit;
    if (s->irr[at] & bit) {
        s->totals[MERGED]++;
        s->tallies[TALLIES * vcpu + MERGES]++;
    } else {
        s->irr[at] |= bit;
        s->totals[ACCEPTED]++;
        s->tallies[TALLIES * vcpu + DELIVERED]++;
    }
}

static int arrive(const struct storm *s, uint32_t low, uint32_t data, uint32_t way)
{
    int mode = data >> 8 & 7, logical = low >> 2 & 1, hint = low >> 3 & 1, level = data >> 15 & 1, vector = data & 0xFF;
    int64_t first, count;

    if (way == NO_WAY)
        return MANY;
    if (mode > 1)
        return SIGNAL;
    first = s->ways[2 * way];
    count = s->ways[2 * way + 1];
    if (!count) {
        s->totals[DROPPED]++;
        s->totals[NOBODY]++;
        return 0;
    }
    if (vector < 16 && !s->facts[LOW_VECTORS])
        return LOW_VECTOR;
    if (count > 1 && (mode == 1 || (hint && logical && s->facts[HINT_COUNTS]))) {
        enter(s, chosen(s, first, count), vector, level);
        return 0;
    }
    for (int64_t place = first; place < first + count; place++)
        enter(s, s->targets[place], vector, level);
    return 0;
}

static void looked_up(const struct storm *s, int64_t index, int check)
{
    int64_t policy = s->facts[POLICY];

    if (s->entries[ROW * index + STATE] == CACHED) {
        s->totals[HIT]++;
        return;
    }
    s->totals[FETCHED]++;
    if (policy == EVERYTHING || (policy == PRESENT && !check)) {
        s->totals[FILL]++;
        s->entries[ROW * index + STATE] = CACHED;
        s->filled[s->totals[FILLED]++] = index;
    }
}

static int through(const struct storm *s, const uint32_t *message)
{
    const int64_t *facts = s->facts;
    int64_t index = index_of(message[LOW], message[DATA], facts[MODE]);
    const uint32_t *entry = s->entries + ROW * index;
    uint32_t w0 = entry[W0], state = entry[STATE];
    int leave, check = entry_check(facts[ORDER], message[LOW], message[UPPER], message[DATA], message[REQUESTER],
                                   facts[MODE], state != UNREADABLE, w0, entry[W1], entry[W2], entry[W3]);

    if (check) {
        leave = refused(s, check, w0 & FPD);
    } else if (w0 & IM && (facts[MODE] & (PI | IM_IGNORED)) == PI) {
        leave = POSTED;
    } else {
        leave = arrive(s, out_address(w0, entry[W1], facts[MODE]), out_data(w0, entry[W1], facts[MODE]), entry[OUT]);
        if (!leave) {
            s->totals[SENT]++;
            s->totals[REMAPPED]++;
        }
    }
    if (!leave && state != UNREADABLE)
        looked_up(s, index, check);
    return leave;
}

static int passed(const struct storm *s, const uint32_t *message)
{
    int leave = arrive(s, message[LOW], message[DATA], message[WAY]);

    if (!leave) {
        s->totals[SENT]++;
        s->totals[PASSED]++;
    }
    return leave;
}

static int request(const struct storm *s, const uint32_t *message)
{
    const int64_t *facts = s->facts;
    int check;

    if ((message[LOW] & FEE_MASK) != FEE) {
        s->totals[SENT]++;
        s->totals[DROPPED]++;
        return 0;
    }
    if (message[WHERE] == ELSEWHERE)
        return OTHER_UNIT;
    if (message[WHERE] == PAST)
        return passed(s, message);
    check = request_check(facts[ORDER], message[LOW], message[UPPER], message[DATA], facts[MODE], facts[ENTRIES],
                          facts[BASE_PAGE], facts[WIDTH]);
    if (!check)
        return through(s, message);
    return OUTCOME[check] == PASS ? passed(s, message) : refused(s, check, 0);
}

/* The requests n .. last - 1; the number of the first that is not done. */
int64_t requests(int64_t n, int64_t last, int64_t turn, const struct storm *s)
{
    for (int64_t slot = n % turn; n < last; n++) {
        int leave = request(s, s->messages + ROW * s->wheel[slot]);
        if (leave) {
            s->totals[LEFT] = leave;
            break;
        }
        if (++slot == turn)
            slot = 0;
    }
    return n;
}

/* From a vCPU on, each takes and ends all that it is offered; *runs: how many it has already. The vCPU where it is left. */
int64_t handlers(int64_t vcpu, int64_t *runs, int64_t vcpus, const struct storm *s)
{
    int64_t run = *runs;

    while (vcpu < vcpus) {
        uint32_t *irr = s->irr + 8 * vcpu, *isr = s->isr + 8 * vcpu, bit;
        int vector = highest(irr);

        if (vector < 0 || (vector & 0xF0) <= (ppr_of(s->tpr[vcpu], highest(isr)) & 0xF0) || run == RUNS
            || s->eoi[vcpu] == DISABLED) {
            vcpu++;
            run = 0;
            continue;
        }
        bit = UINT32_C(1) << (vector & 31);
        if (s->eoi[vcpu] == URGENT) {
            s->totals[LEFT] = NMI;
            break;
        }
        if (s->eoi[vcpu] == BROADCASTS && s->tmr[8 * vcpu + (vector >> 5)] & bit) {
            s->totals[LEFT] = BROADCAST;
            break;
        }
        irr[vector >> 5] &= ~bit;
        isr[vector >> 5] &= ~bit; /* taken and ended: set, then cleared */
        s->totals[TAKEN]++;
        s->totals[WRITTEN]++;
        s->totals[ENDED]++;
        s->tallies[TALLIES * vcpu + TAKES]++;
        run++;
    }
    *runs = run;
    return vcpu;
}
