#!/bin/sh
# Managed by aiops (phase monitoring); changes here are overwritten.
# Writes what Slurm thinks of its nodes for node exporter's textfile collector. A controller that does not answer is
# `aiops_slurm_up 0` and no node at all: yesterday's states are not shown as today's.
set -eu
target=/var/lib/prometheus/node-exporter/slurm.prom
new="$target.$$"
trap 'rm -f "$new"' EXIT
{
    echo '# HELP aiops_slurm_up Whether slurmctld answered.'
    echo '# TYPE aiops_slurm_up gauge'
    if states=$(timeout 20 sinfo --noheader --Node --format='%N %T'); then
        echo 'aiops_slurm_up 1'
        echo '# HELP aiops_slurm_node_state The state Slurm has a node in; responding is 0 where sinfo marks it with *.'
        echo '# TYPE aiops_slurm_node_state gauge'
        # A node of several partitions is told several times.
        echo "$states" | sort -u | awk '{
            responding = sub(/\*$/, "", $2) ? 0 : 1
            gsub(/[^a-z_]/, "", $2)
            printf "aiops_slurm_node_state{slurm_node=\"%s\",state=\"%s\",responding=\"%d\"} 1\n", $1, $2, responding
        }'
    else
        echo 'aiops_slurm_up 0'
    fi
} >"$new"
chmod 0644 "$new"
mv "$new" "$target"
