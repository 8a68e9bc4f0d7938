// Monitoring that seems to work but does not.
import type { Case } from "../case.ts";
import { until } from "../stage.ts";

const observed = ["G.1", "H.c5"];

export const monitoring: Case[] = [
  {
    name: "alert-for-wrong",
    what: "the latency alert waits an hour instead of ten minutes",
    needs: "stack",
    breaks: observed,
    says: /rule-latency \(fail\).*(1h|60m|1 h)/,
    apply: async (stage) => {
      stage.edit("monitoring/alerts.yml", "for: 10m", "for: 1h");
      stage.commit("Be patient");
      await stage.reloadPrometheus();
    },
    undo: async (stage) => {
      stage.restore();
      await stage.reloadPrometheus();
    },
  },
  {
    name: "alert-threshold-wrong",
    what: "the error alert fires at 10 % instead of 1 %",
    needs: "stack",
    breaks: observed,
    says: /rule-errors \(fail\).*0\.1/,
    apply: async (stage) => {
      stage.edit("monitoring/alerts.yml", "> 0.01", "> 0.1");
      stage.commit("Be generous");
      await stage.reloadPrometheus();
    },
    undo: async (stage) => {
      stage.restore();
      await stage.reloadPrometheus();
    },
  },
  {
    name: "alert-gone",
    what: "the health alert is removed",
    needs: "stack",
    breaks: observed,
    says: /rule-health \(fail\).*is not loaded/,
    apply: async (stage) => {
      stage.edit("monitoring/alerts.yml", "alert: HealthcheckFailing", "alert: SomethingElse");
      stage.commit("Rename an alert");
      await stage.reloadPrometheus();
    },
    undo: async (stage) => {
      stage.restore();
      await stage.reloadPrometheus();
    },
  },
  {
    name: "target-refused",
    what: "Prometheus has the wrong token, and is refused",
    needs: "stack",
    breaks: observed,
    says: /scraped \(fail\).*401/,
    apply: async (stage) => {
      const id = stage.container("prometheus");
      stage.docker("exec", id, "sh", "-c", "printf wrong > /run/monitoring/metrics-token");
      // It scrapes every five seconds.
      await until("the target is down", 30_000, () => stage.docker("exec", id, "bash", "-c", 'exec 3<>/dev/tcp/127.0.0.1/9090; printf "GET /api/v1/targets HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3').includes('"health":"down"'));
    },
    undo: async (stage) => {
      stage.docker("restart", "--time", "3", stage.container("prometheus"));
      await stage.health("prometheus", "healthy");
    },
  },
  {
    name: "alert-lost",
    what: "alerts are sent to an unused receiver",
    needs: "stack",
    breaks: observed,
    says: /alert-arrives \(fail\).*nobody/,
    checks: ["alert-arrives"],
    apply: (stage) => {
      stage.edit("monitoring/alertmanager.yml", /"staging"/g, '"nobody"');
      stage.commit("Silence the channel");
      stage.docker("kill", "--signal", "HUP", stage.container("alertmanager"));
    },
    undo: (stage) => {
      stage.restore();
      stage.docker("kill", "--signal", "HUP", stage.container("alertmanager"));
    },
  },
  {
    name: "alertmanager-down",
    what: "Alertmanager is stopped",
    needs: "stack",
    breaks: ["E.1", ...observed],
    says: /alertmanager/i,
    checks: ["alert-arrives"],
    apply: (stage) => stage.stop("alertmanager"),
    undo: (stage) => stage.start("alertmanager"),
  },
  {
    name: "panel-without-data",
    what: "a panel of the dashboard queries a metric that does not exist",
    needs: "stack",
    breaks: observed,
    says: /dashboard \((fail|inconclusive)\).*/,
    apply: (stage) => {
      stage.edit("monitoring/dashboard.json", "process_resident_memory_bytes", "process_memory_of_old");
      stage.commit("Rename a metric");
    },
  },
  {
    name: "logs-are-prose",
    what: "the backend writes sentences instead of JSON",
    needs: "stack",
    breaks: ["H.c5"],
    says: /json-lines \(fail\).*backend/,
    apply: async (stage) => {
      await stage.faults("text-logs");
      // Each refused origin is logged with one line.
      for (let n = 0; n < 60; n++) await fetch(`${stage.example.api}/api/features`, { headers: { Origin: "https://stranger.example.net" } });
    },
    undo: async (stage) => {
      // The container is recreated, because the old lines would stay.
      stage.compose(["up", "-d", "--no-build", "--no-deps", "--pull", "never", "--force-recreate", "backend"]);
      await stage.health("backend", "healthy");
    },
  },
];
