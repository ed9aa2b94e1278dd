"""The real cores over the embedded broker and store, in a world whose time, faults and handlers a seed decides."""
