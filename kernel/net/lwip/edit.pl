# Edits lwIP's unpacked sources.  Called by kernel/net/lwip/lwip.mk, once after unpacking.
#
#   perl kernel/net/lwip/edit.pl SRC EDITS.pl...
#
# Each file of edits/ is Perl that calls the functions below.  An anchor is text of lwIP's that must be
# there, exactly as often as the edit says; when it is not, that is the end of the build, with a line
# that names the edit.  So no edit is ever lost in silence when lwIP's version changes.
use strict;
use warnings;

our ($file, %text, $root);

# What the following edits are about: a path below SRC.
sub in_file {
    ($file) = @_;
    return if exists $text{$file};
    open(my $in, '<', "$root/$file") or die "$root/$file: $!\n";
    local $/;
    $text{$file} = <$in>;
}

sub edit_place {
    my $depth = 1;
    my (undef, $from, $line) = caller($depth++);
    (undef, $from, $line) = caller($depth++) while $from eq __FILE__;
    return "$from:$line";
}

# Replaces an anchor; it must be there `times` times (once, unless said otherwise).
sub replace {
    my ($anchor, $by, $times) = @_;
    $times //= 1;
    my $found = () = $text{$file} =~ /\Q$anchor\E/g;
    die edit_place() . ": the anchor is there $found times in $file, not $times: " .
        substr($anchor, 0, 60) . "\n" if $found != $times;
    $text{$file} =~ s/\Q$anchor\E/$by/g;
}

# Adds lines after, or before, an anchor.
sub after  { my ($anchor, $lines) = @_; replace($anchor, $anchor . $lines); }
sub before { my ($anchor, $lines) = @_; replace($anchor, $lines . $anchor); }

# Replaces from one anchor up to the next place where another one begins; both must be there.
sub replace_from {
    my ($begin, $end, $by) = @_;
    my $found = () = $text{$file} =~ /\Q$begin\E/g;
    my $at = index($text{$file}, $begin);
    my $stop = $at < 0 ? -1 : index($text{$file}, $end, $at);
    die edit_place() . ": in $file the anchors do not frame one place: " . substr($begin, 0, 60) . "\n"
        if $found != 1 || $stop < 0;
    substr($text{$file}, $at, $stop - $at) = $by;
}

$root = shift @ARGV;
for my $edits (@ARGV) {
    $file = undef;
    my $done = do "./$edits";
    die $@ if $@;
    die "$edits: $!\n" unless defined $done;
}
for my $edited (sort keys %text) {
    open(my $out, '>', "$root/$edited") or die "$root/$edited: $!\n";
    print $out $text{$edited};
    close $out or die "$root/$edited: $!\n";
}
