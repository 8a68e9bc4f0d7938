#!/usr/bin/env bash
# Prepares the base images that the example stacks are built from. Safe to repeat: an image that exists is kept.
#
#   images/prepare.sh [all|medianest|tiny]
#
#   medianest/base-node:1        Debian 12 with Node.js and npm            (backend, frontend)
#   medianest/base-data:1        Debian 12 with PostgreSQL 15 and Redis 7  (db, redis)
#   medianest/base-ops:1         Debian 12 with Prometheus, Alertmanager and nginx  (prometheus, alertmanager, proxy)
#   stagegate-test/busybox:1     one static busybox                        (tinystack)
#
# Where a public image registry answers, the Debian images start from its `debian:12-slim`. Elsewhere they are made
# with debootstrap from Debian's packages, which needs root. npm comes from the npm registry. First time: two to four
# minutes, and a few seconds for `tiny`; afterwards well under a second.
#
#   BASE_FROM=debootstrap   do not ask an image registry
#   BASE_FROM=<image>       start from this local image instead of pulling
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
node_image=medianest/base-node:1
data_image=medianest/base-data:1
ops_image=medianest/base-ops:1
tiny_image=stagegate-test/busybox:1
# npm 10 is the newest major that runs on the Node.js 18 of Debian 12.
npm_package=npm@10
pull_seconds=15
image_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
scratch=

say() { printf '%s\n' "prepare: $*"; }
die() { printf '%s\n' "prepare: $*" >&2; exit 1; }
have() { docker image inspect "$1" >/dev/null 2>&1; }
cleanup() { if [ -n "$scratch" ]; then rm -rf --one-file-system "$scratch"; fi; }
trap cleanup EXIT

make_scratch() { [ -n "$scratch" ] || scratch=$(mktemp -d "${TMPDIR:-/tmp}/medianest-images.XXXXXX"); }

need_engine() {
  command -v docker >/dev/null || die "the docker command is missing: install Docker, then run this again"
  docker info >/dev/null 2>&1 || die "no Docker engine answers: start it, then run this again"
}

# Gets a Debian package tool that is missing, or says how.
need_tool() {
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "$1 is missing: install it (on Debian: apt-get install $1)"
  say "installing $1"
  apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" >/dev/null; }
}

# Leaves npm unpacked in $scratch/npm.
fetch_npm() {
  command -v npm >/dev/null || die "npm is missing: install Node.js >= 18 with npm"
  mkdir -p "$scratch/npm"
  (cd "$scratch" && npm pack --silent "$npm_package" >/dev/null) || die "the npm registry did not give $npm_package"
  tar -xzf "$scratch"/npm-*.tgz -C "$scratch/npm" --strip-components=1
  rm -rf "$scratch"/npm-*.tgz "$scratch/npm/docs" "$scratch/npm/man"
}

# --- the shorter way: from a Debian image ------------------------------------------------------------------------

# Sets $debian to a Debian 12 image, or fails.
find_debian_image() {
  case ${BASE_FROM:-} in
    debootstrap) return 1 ;;
    '') debian=debian:12-slim ;;
    *) debian=$BASE_FROM; have "$debian" || die "BASE_FROM names $debian, which is not here"; return 0 ;;
  esac
  have "$debian" && return 0
  say "asking an image registry for $debian (at most $pull_seconds s)"
  timeout "$pull_seconds" docker pull -q "$debian" >/dev/null 2>&1
}

build_from_image() { # image, packages, Dockerfile lines
  local context=$scratch/context
  rm -rf "$context"; mkdir -p "$context"
  cp "$here"/bin/* "$context"/
  if [ -d "$scratch/npm" ]; then cp -a "$scratch/npm" "$context/npm"; fi
  {
    echo "FROM $debian"
    echo "RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 \\"
    echo "    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/lib/postgresql/15"
    printf '%s\n' "$3"
  } > "$context/Dockerfile"
  DOCKER_BUILDKIT=0 docker build -q --force-rm --network host -t "$1" "$context" >"$scratch/build.log" 2>&1
}

# --- the longer way: from Debian's packages ----------------------------------------------------------------------

bootstrap() { # rootfs, packages
  [ "$(id -u)" = 0 ] || die "debootstrap needs root: run this as root, or where an image registry answers"
  need_tool debootstrap
  mkdir -p "$scratch/packages"
  if ! debootstrap --variant=minbase --cache-dir="$scratch/packages" --include="$2" bookworm "$1" \
      >"$scratch/debootstrap.log" 2>&1; then
    tail -n 15 "$scratch/debootstrap.log" >&2
    die "debootstrap failed (its last lines are above)"
  fi
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/* \
    "$1"/usr/share/locale/* "$1"/var/lib/postgresql/15 "$1"/var/log/*.log
}

import() { # rootfs, image
  tar -C "$1" --numeric-owner -cf - . | docker import --change "ENV PATH=$image_path" --change 'CMD ["/bin/bash"]' - "$2" >/dev/null
  rm -rf --one-file-system "$1"
}

# --- the images --------------------------------------------------------------------------------------------------

make_node() {
  have "$node_image" && { say "$node_image is here"; return; }
  make_scratch
  local began=$SECONDS
  fetch_npm
  if find_debian_image; then
    say "building $node_image from $debian"
    build_from_image "$node_image" "nodejs" "COPY npm /usr/local/lib/node_modules/npm
COPY http-ok /usr/local/bin/
RUN chmod 755 /usr/local/bin/http-ok \\
    && ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
    && useradd --uid 10001 --create-home app" && { say "$node_image made in $((SECONDS - began)) s"; return; }
    say "that did not work (no packages from inside a container?)"
  fi
  say "making $node_image with debootstrap: about a minute"
  local root=$scratch/node
  bootstrap "$root" nodejs
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -a "$scratch/npm" "$root/usr/local/lib/node_modules/npm"
  chown -R 0:0 "$root/usr/local/lib/node_modules"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  install -m 755 "$here/bin/http-ok" "$root/usr/local/bin/"
  chroot "$root" useradd --uid 10001 --create-home app
  import "$root" "$node_image"
  say "$node_image made in $((SECONDS - began)) s"
}

make_data() {
  have "$data_image" && { say "$data_image is here"; return; }
  make_scratch
  local began=$SECONDS
  if find_debian_image; then
    say "building $data_image from $debian"
    build_from_image "$data_image" "postgresql-15 redis-server" "COPY run-postgres run-redis /usr/local/bin/
RUN chmod 755 /usr/local/bin/run-postgres /usr/local/bin/run-redis \\
    && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data \\
    && install -d -o postgres -g postgres -m 775 /run/postgresql" && { say "$data_image made in $((SECONDS - began)) s"; return; }
    say "that did not work (no packages from inside a container?)"
  fi
  say "making $data_image with debootstrap: about a minute"
  local root=$scratch/data
  bootstrap "$root" postgresql-15,redis-server
  install -m 755 "$here/bin/run-postgres" "$here/bin/run-redis" "$root/usr/local/bin/"
  chroot "$root" install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
  chroot "$root" install -d -o postgres -g postgres -m 775 /run/postgresql
  import "$root" "$data_image"
  say "$data_image made in $((SECONDS - began)) s"
}

make_ops() {
  have "$ops_image" && { say "$ops_image is here"; return; }
  make_scratch
  local began=$SECONDS
  if find_debian_image; then
    say "building $ops_image from $debian"
    build_from_image "$ops_image" "prometheus prometheus-alertmanager nginx-light" "COPY http-ok run-prometheus run-alertmanager run-proxy /usr/local/bin/
RUN chmod 755 /usr/local/bin/http-ok /usr/local/bin/run-* \\
    && rm -f /usr/bin/promtool /usr/bin/amtool \\
    && install -d -o prometheus -g prometheus -m 700 /var/lib/prometheus /run/monitoring" && { say "$ops_image made in $((SECONDS - began)) s"; return; }
    say "that did not work (no packages from inside a container?)"
  fi
  say "making $ops_image with debootstrap: about a minute"
  local root=$scratch/ops
  bootstrap "$root" prometheus,prometheus-alertmanager,nginx-light
  install -m 755 "$here/bin/http-ok" "$here/bin/run-prometheus" "$here/bin/run-alertmanager" "$here/bin/run-proxy" "$root/usr/local/bin/"
  # Tools for people; the services do without.
  rm -f "$root/usr/bin/promtool" "$root/usr/bin/amtool"
  rm -rf "$root/var/lib/prometheus"
  chroot "$root" install -d -o prometheus -g prometheus -m 700 /var/lib/prometheus /run/monitoring
  import "$root" "$ops_image"
  say "$ops_image made in $((SECONDS - began)) s"
}

make_tiny() {
  have "$tiny_image" && { say "$tiny_image is here"; return; }
  make_scratch
  local root=$scratch/tiny began=$SECONDS
  mkdir -p "$root"/{bin,etc,tmp,www} "$scratch/deb"
  if [ -x /bin/busybox ] && /bin/busybox --list | grep -qx httpd && ! ldd /bin/busybox >/dev/null 2>&1; then
    cp /bin/busybox "$root/bin/busybox"
  else
    command -v apt-get >/dev/null || die "a static busybox is missing: install the package busybox-static"
    say "fetching Debian's busybox-static"
    # The download sandbox user may not write to our private folder, so apt is told to stay who it is.
    (cd "$scratch/deb" && { apt-get -o APT::Sandbox::User=root download -qq busybox-static >/dev/null 2>&1 ||
      { apt-get update -qq && apt-get -o APT::Sandbox::User=root download -qq busybox-static >/dev/null; }; }) ||
      die "Debian's busybox-static could not be fetched"
    dpkg-deb -x "$scratch"/deb/busybox-static_*.deb "$scratch/deb/root"
    cp "$scratch/deb/root/bin/busybox" "$root/bin/busybox"
  fi
  local applet
  for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/:/bin/sh' > "$root/etc/passwd"
  chmod 1777 "$root/tmp"
  tar -C "$root" --owner=0 --group=0 -cf - . | docker import --change 'ENV PATH=/bin' --change 'CMD ["/bin/sh"]' - "$tiny_image" >/dev/null
  say "$tiny_image made in $((SECONDS - began)) s"
}

need_engine
case ${1:-all} in
  all) make_node; make_data; make_ops; make_tiny ;;
  medianest) make_node; make_data; make_ops ;;
  tiny) make_tiny ;;
  *) die "usage: images/prepare.sh [all|medianest|tiny]" ;;
esac
