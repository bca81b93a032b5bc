# The timers of TCP.
in_file('core/init.c');
replace("((TCP_MAXRTX > 12) || (TCP_SYNMAXRTX > 12))", "((TCP_MAXRTX > 15) || (TCP_SYNMAXRTX > 12))");
1;
