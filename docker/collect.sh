#!/usr/bin/env bash
# Puts programs and all that they load into an empty root: collect.sh ROOT PROGRAM...
# There is no shell in it, and no package manager; but for each library its package's record and licence.
set -euo pipefail
root=$1
shift

mkdir -p "$root"/{etc/ssl/certs,usr/bin,usr/lib/ssl,usr/lib64,var/lib/dpkg/status.d}
ln -s usr/bin usr/lib usr/lib64 "$root"
install -s -t "$root/usr/bin" "$@"

# The libraries go where the loader looks without a cache. /lib is a link to /usr/lib in Debian.
mapfile -t libraries < <(ldd "$@" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u)
for library in "${libraries[@]}"; do
  install -D -m 644 "$library" "$root/usr${library#/usr}"
done
chmod 755 "$root"/usr/lib64/ld-linux-*

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
cp -L /etc/os-release "$root/etc/os-release"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'saldo:x:10001:10001:Saldo:/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'saldo:x:10001:' >"$root/etc/group"

# For scanners that ask which packages, of which version, are in the image.
for library in "${libraries[@]}"; do
  dpkg-query -S "*/$(basename "$(readlink -f "$library")")"
done | sed 's/[:,].*//' | sort -u >"$root/packages"
echo ca-certificates >>"$root/packages"
while read -r package; do
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
  install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done <"$root/packages"
rm "$root/packages"

# The same contents make the same layer.
find "$root" -exec touch -h -d @0 {} +
